"""Where to review and where to block, for a wanted share of alerts or for the least cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .dataset import Transactions
from .errors import TrainingError
from .schema import AMOUNT, FEATURES

DIGITS = 4


@dataclass(frozen=True)
class Cost:
    """What decisions cost, in the currency of the amounts. A fraud that is approved costs its amount."""

    review: float
    false_block: float


def by_rate(score: np.ndarray, review_rate: float, block_rate: float) -> dict[str, float]:
    """Thresholds so that at most these shares of the transactions are alerts, and are blocked; no labels are needed."""
    if not 0 < block_rate <= review_rate <= 1:
        raise TrainingError(
            f"the rates must be 0 < block <= review <= 1, found block {block_rate:g} and review {review_rate:g}"
        )
    return {"review": _share(score, review_rate, "review"), "block": _share(score, block_rate, "block")}


def by_cost(rows: Transactions, score: np.ndarray, cost: Cost) -> tuple[dict[str, float], float]:
    """The two thresholds of least cost on labelled rows, and that cost for each transaction.

    Exact: with the rows in the order of the score, the cost is a sum of a part that depends on how many are blocked
    and one that depends on how many are alerts.
    """
    order = np.argsort(-score, kind="stable")
    fraud = rows.label[order] == 1
    amount = rows.features[order, FEATURES.index(AMOUNT)].astype(float)
    count = np.arange(len(score) + 1)
    blocked = cost.false_block * _before(~fraud) - cost.review * count
    alerts = cost.review * count + (amount[fraud].sum() - _before(np.where(fraud, amount, 0.0)))
    # Only between two scores that differ can there be a threshold.
    cuts = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0, True])
    best_block = np.minimum.accumulate(blocked[cuts])
    total = best_block + alerts[cuts]
    last = int(total.argmin())
    first = int(blocked[cuts][: last + 1].argmin())
    limits = [_between(score[order], int(cuts[place])) for place in (last, first)]
    return dict(zip(("review", "block"), limits, strict=True)), float(total[last] / len(score))


def _before(values: np.ndarray) -> np.ndarray:
    return np.r_[0, np.cumsum(values)]


def _share(score: np.ndarray, rate: float, name: str) -> float:
    ordered = np.sort(score)[::-1]
    allowed = math.floor(rate * len(score))
    if allowed < 1:
        raise TrainingError(f"{name} rate {rate:g}: less than one of {len(score)} transactions")
    while allowed and allowed < len(score) and ordered[allowed - 1] == ordered[allowed]:
        allowed -= 1
    if not allowed:
        raise TrainingError(f"{name} rate {rate:g}: more transactions than that have the highest score {ordered[0]:g}")
    return _between(ordered, allowed)


def _between(descending: np.ndarray, count: int) -> float:
    """A short number that `count` of the scores reach: half-way to the next, so that no rounding flips one."""
    if count == 0:
        return 1.0
    above = float(descending[count - 1])
    below = float(descending[count]) if count < len(descending) else 0.0
    middle = (above + below) / 2
    short = float(f"{middle:.{DIGITS}g}")
    return short if below < short <= above else middle
