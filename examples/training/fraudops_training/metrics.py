"""What a ranking of transactions is worth to the people who look at the alerts."""

from __future__ import annotations

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
