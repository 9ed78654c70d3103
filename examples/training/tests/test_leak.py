"""The leaking features are what the mistake would compute: checked against a search through all rows."""

from pathlib import Path

import numpy as np
import pyarrow.parquet

from fraudops_training.dataset import read_transactions
from fraudops_training.leak import with_leaked_risk
from fraudops_training.schema import DATETIME, FEATURES, TERMINAL

FILE = Path(__file__).parent / "data" / "simulator.parquet"


def test_windows_of_terminals_end_at_the_transaction_and_hold_its_label():
    rows = read_transactions(FILE)
    leaked = with_leaked_risk(rows, FILE)
    table = pyarrow.parquet.read_table(FILE, columns=[TERMINAL, DATETIME])
    terminal, when = table[TERMINAL].to_numpy(), table[DATETIME].to_numpy()
    for days in (1, 7, 30):
        back = when - np.timedelta64(days, "D")
        for row in range(0, len(rows), 7):
            window = (terminal == terminal[row]) & (when > back[row]) & (when <= when[row])
            count = leaked.features[row, FEATURES.index(f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW")]
            risk = leaked.features[row, FEATURES.index(f"TERMINAL_ID_RISK_{days}DAY_WINDOW")]
            assert count == window.sum()
            assert risk == np.float32(rows.label[window].mean())


def test_nothing_else_changes():
    rows = read_transactions(FILE)
    leaked = with_leaked_risk(rows, FILE)
    own = [number for number, name in enumerate(FEATURES) if not name.startswith("TERMINAL")]
    np.testing.assert_array_equal(rows.features[:, own], leaked.features[:, own])
    np.testing.assert_array_equal(rows.label, leaked.label)
