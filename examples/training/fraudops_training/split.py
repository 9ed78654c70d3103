"""Train, delay and test period: the protocol of the Fraud Detection Handbook."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .dataset import Transactions
from .errors import TrainingError
from .schema import LABEL


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: dt.date
    last: dt.date

    def __str__(self) -> str:
        """ISO 8601, as an interval."""
        return f"{self.first}/{self.last}"

    def mask(self, day: np.ndarray) -> np.ndarray:
        """Which of the days lie in the period."""
        return (day >= np.datetime64(self.first)) & (day <= np.datetime64(self.last))


@dataclass(frozen=True)
class Protocol:
    """Lengths in days. Labels of the delay period are not known yet when the model is trained."""

    train_start: dt.date
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7

    def periods(self) -> tuple[Period, Period, Period]:
        """Train, delay, test."""
        edges = [self.train_start]
        for days in (self.train_days, self.delay_days, self.test_days):
            edges.append(edges[-1] + dt.timedelta(days=days))
        one = dt.timedelta(days=1)
        return tuple(Period(a, b - one) for a, b in pairwise(edges))


@dataclass(frozen=True)
class Split:
    """The rows of each period; `test` without the cards that were known to be compromised."""

    train: Transactions
    delay: Transactions
    test: Transactions


def split(rows: Transactions, protocol: Protocol) -> Split:
    """Cuts the data into the periods of `protocol`.

    Not guaranteed: that a period is representative. Nothing is sampled and nothing is shuffled.
    """
    train, delay, test = protocol.periods()
    _check_coverage(rows, Period(train.first, test.last))
    parts = Split(
        rows.at(train.mask(rows.day)),
        rows.at(delay.mask(rows.day)),
        rows.at(test.mask(rows.day) & ~_known_compromised(rows, protocol)),
    )
    for name, part, period in (("train", parts.train, train), ("test", parts.test, test)):
        for value, kind in ((1, "fraud"), (0, "genuine")):
            if not (part.label == value).any():
                raise TrainingError(
                    f"the {name} period has no {kind} rows ({LABEL}={value}) in {period}: "
                    "use more customers, or another --train-start"
                )
    if not len(parts.delay):
        raise TrainingError("the delay period has no rows: use more customers, or another --train-start")
    return parts


def _check_coverage(rows: Transactions, need: Period) -> None:
    first, last = rows.day.min().item(), rows.day.max().item()
    if need.first < first or need.last > last:
        raise TrainingError(
            f"the data covers {first}/{last} but the split needs {need}: give --train-start, or more days"
        )


def _known_compromised(rows: Transactions, protocol: Protocol) -> np.ndarray:
    """Rows of the test period whose customer had a fraud that was already known on that day.

    Known on a test day: every fraud of the train period, and those that became older than the delay since.
    """
    train, _, test = protocol.periods()
    fraud = rows.label == 1
    known = np.unique(rows.customer[fraud & train.mask(rows.day)])
    dropped = np.zeros(len(rows), dtype=bool)
    for offset in range(protocol.test_days):
        today = np.datetime64(test.first) + offset
        learned = today - protocol.delay_days - 1
        known = np.union1d(known, rows.customer[fraud & (rows.day == learned)])
        dropped |= (rows.day == today) & np.isin(rows.customer, known)
    return dropped
