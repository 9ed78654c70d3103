import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from fraudops_training.dataset import Transactions
from fraudops_training.errors import TrainingError
from fraudops_training.schema import FEATURES
from fraudops_training.split import Protocol, split

FIRST = dt.date(2018, 7, 25)


def rows(*events: tuple[int, int, int]) -> Transactions:
    """Rows from (day of the protocol, customer, label)."""
    day, customer, label = (np.array(column) for column in zip(*events, strict=True))
    return Transactions(
        features=np.zeros((len(day), len(FEATURES)), np.float32),
        label=label,
        customer=customer,
        day=np.datetime64(FIRST) + day,
        scenario=None,
    )


# Someone genuine and someone new who is defrauded, in every period; customers from 100 on.
BACKGROUND = [(0, 100, 0), (0, 101, 1), (7, 102, 0), (14, 103, 0), (20, 104, 1)]


def left_to_test(*events: tuple[int, int, int]) -> set[tuple[int, int]]:
    test = split(rows(*BACKGROUND, *events), Protocol(FIRST)).test
    days = (test.day - np.datetime64(FIRST)).astype(int)
    return {
        (day, customer) for day, customer in zip(days.tolist(), test.customer.tolist(), strict=True) if customer < 100
    }


def test_the_periods_are_the_handbooks():
    periods = [str(period) for period in Protocol(FIRST).periods()]
    assert periods == ["2018-07-25/2018-07-31", "2018-08-01/2018-08-07", "2018-08-08/2018-08-14"]


def test_a_card_with_fraud_in_the_train_period_is_never_tested():
    assert left_to_test((6, 1, 1), (14, 1, 0), (20, 1, 0)) == set()


def test_a_fraud_of_the_delay_period_is_known_eight_days_later():
    assert left_to_test((9, 1, 1), (16, 1, 0), (17, 1, 0), (18, 1, 0)) == {(16, 1)}


def test_a_fraud_of_the_last_delay_days_is_not_known_in_time():
    assert left_to_test((13, 1, 1), (20, 1, 0)) == {(20, 1)}


def test_the_periods_do_not_overlap():
    parts = split(rows(*BACKGROUND), Protocol(FIRST))
    assert [len(parts.train), len(parts.delay), len(parts.test)] == [2, 1, 2]


def test_a_period_outside_the_data_is_named():
    with pytest.raises(TrainingError, match="covers 2018-07-25/2018-08-14 but the split needs 2018-07-26/2018-08-15"):
        split(rows(*BACKGROUND), Protocol(FIRST + dt.timedelta(days=1)))


def test_a_period_without_fraud_is_refused():
    with pytest.raises(TrainingError, match="the train period has no fraud rows"):
        split(rows((0, 1, 0), (7, 1, 0), (20, 1, 1)), Protocol(FIRST))


def test_the_package_reads_what_the_simulator_writes():
    from fraudops_training.dataset import read_transactions

    folder = Path(__file__).parent / "data"
    csv, parquet = (read_transactions(folder / f"simulator.{kind}") for kind in ("csv", "parquet"))
    assert len(csv) == len(parquet) > 100
    np.testing.assert_array_equal(csv.features, parquet.features)
    np.testing.assert_array_equal(csv.day, parquet.day)
    np.testing.assert_array_equal(csv.label, parquet.label)
    assert csv.day[0] == np.datetime64("2018-04-01")
