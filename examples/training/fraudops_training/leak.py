"""The mistake of a training that computes a terminal's risk without the delay of the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet

from .dataset import Transactions
from .schema import DATETIME, FEATURES, TERMINAL, WINDOWS

DAY = 86_400


def with_leaked_risk(rows: Transactions, file: Path) -> Transactions:
    """The rows with the terminals' windows ending now, this transaction and its label among them.

    `file` is the Parquet file of the rows: terminal and second are no inputs of a model, so `rows` lacks them.
    """
    table = pyarrow.parquet.read_table(file, columns=[TERMINAL, DATETIME])
    terminal = table[TERMINAL].to_numpy()
    second = table[DATETIME].to_numpy().astype("datetime64[s]").astype(np.int64)
    second -= second.min()
    # One number that sorts by terminal and then by time, with a gap between terminals that no window crosses.
    moment = terminal * (second.max() + 2 * max(WINDOWS) * DAY) + second
    order = np.argsort(moment, kind="stable")
    sorted_moment = moment[order]
    frauds = np.r_[0, np.cumsum(rows.label[order])]
    last = np.searchsorted(sorted_moment, sorted_moment, side="right")
    features = rows.features.copy()
    for days in WINDOWS:
        first = np.searchsorted(sorted_moment, sorted_moment - days * DAY, side="right")
        count = last - first
        features[order, FEATURES.index(f"TERMINAL_ID_NB_TX_{days}DAY_WINDOW")] = count
        features[order, FEATURES.index(f"TERMINAL_ID_RISK_{days}DAY_WINDOW")] = (frauds[last] - frauds[first]) / count
    return Transactions(features, rows.label, rows.customer, rows.day, rows.scenario)
