"""What a ranking of transactions is worth to the people who look at the alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from .dataset import Transactions


@dataclass(frozen=True)
class Evaluation:
    """Results on the test period. `ceiling` is the card precision of a perfect ranking."""

    auc: float
    ap: float
    card_precision: float
    ceiling: float


def evaluate(rows: Transactions, score: np.ndarray, k: int = 100) -> Evaluation:
    """AUC ROC, average precision and card precision at `k`."""
    return Evaluation(
        auc=float(roc_auc_score(rows.label, score)),
        ap=float(average_precision_score(rows.label, score)),
        card_precision=card_precision(rows, score, k),
        ceiling=card_precision(rows, rows.label.astype(float), k),
    )


def ap_interval(rows: Transactions, score: np.ndarray, resamples: int = 200) -> tuple[float, float]:
    """Where the average precision lies in 95 % of draws of the customers, with all transactions of each.

    By customer, because frauds come in bursts: single rows would make it look more certain than it is.
    """
    customers, position = np.unique(rows.customer, return_inverse=True)
    rng = np.random.default_rng(0)
    precision_of = weighted_ap(rows.label, score)
    drawn = (
        np.bincount(rng.integers(0, len(customers), len(customers)), minlength=len(customers)) for _ in range(resamples)
    )
    values = [value for counts in drawn if np.isfinite(value := precision_of(counts[position]))]
    if not values:
        return 0.0, 1.0
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def weighted_ap(label: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], float]:
    """Average precision for weights of the rows; the order is found once. Not a number without any fraud."""
    order = np.argsort(-score, kind="stable")
    fraud = label[order] == 1
    last_of_equals = np.flatnonzero(np.r_[np.diff(score[order]) != 0, True])

    def value(weight: np.ndarray) -> float:
        ordered = weight[order]
        found = np.cumsum(ordered * fraud)[last_of_equals]
        looked_at = np.cumsum(ordered)[last_of_equals]
        if not found[-1]:
            return float("nan")
        return float((np.diff(found, prepend=0) * found / np.maximum(looked_at, 1)).sum() / found[-1])

    return value


def card_precision(rows: Transactions, score: np.ndarray, k: int = 100) -> float:
    """Mean over the days of the share of compromised cards among the `k` highest-scoring ones.

    A card that was found is not looked at again on later days. The denominator stays `k` on days with fewer
    compromised cards, so even a perfect ranking stays below 1.
    """
    found: set[int] = set()
    days = []
    for day in np.unique(rows.day):
        today = (rows.day == day) & ~np.isin(rows.customer, list(found))
        cards, position = np.unique(rows.customer[today], return_inverse=True)
        best = np.full(len(cards), -np.inf)
        np.maximum.at(best, position, score[today])
        compromised = np.zeros(len(cards), dtype=bool)
        np.logical_or.at(compromised, position, rows.label[today] == 1)
        top = np.argsort(-best, kind="stable")[:k]
        hits = cards[top][compromised[top]]
        days.append(len(hits) / k)
        found.update(hits.tolist())
    return float(np.mean(days))


def recall_by_scenario(rows: Transactions, score: np.ndarray, threshold: float) -> dict[int, float]:
    """Share of each fraud scenario's rows that score at or above the threshold; empty without scenarios."""
    if rows.scenario is None:
        return {}
    return {
        int(code): float((score[rows.scenario == code] >= threshold).mean())
        for code in np.unique(rows.scenario)
        if code > 0
    }
