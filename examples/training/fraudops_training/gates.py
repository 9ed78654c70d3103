"""What a rollout can see of a candidate, and after how many transactions: the operator's tests, in Python.

Counts are judged by a sequential test that may be looked at after every transaction (an e-process): it fails a good
candidate in at most one of 1/alpha rollouts, however long it runs. Distributions are compared by PSI.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .metadata import HISTOGRAM_EDGES

ALPHA = 0.01
GROWTH = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 50.0)
"""Alternatives of the ratio test, as multiples of the ratio that is tolerated."""

LOST = (0.6, 0.5, 0.35, 0.2, 0.05)
"""Alternatives of the retention test that fails a candidate."""

KEPT = (0.75, 0.8, 0.85, 0.9, 0.95, 0.99)
"""Those of the test that lets it pass."""

MIN_RETENTION = 0.7
PSI_LIMIT = 0.25
PSI_ROWS = 500


@dataclass(frozen=True)
class Pairs:
    """Scores of the same transactions by the stable model and the candidate; `weight` is how many a row stands for."""

    stable: np.ndarray
    candidate: np.ndarray
    weight: np.ndarray
    threshold: float

    def compare(self) -> dict[str, float]:
        """Alerts of the candidate beside those of the stable model. What is no number is no alert."""
        old, new = self.stable >= self.threshold, self.candidate >= self.threshold
        stable = float(self.weight[old].sum())
        return {
            "alertRatio": float(self.weight[new].sum()) / stable,
            "retention": float(self.weight[old & new].sum()) / stable,
            "newAlerts": float(self.weight[new & ~old].sum()) / stable,
            "invalid": float(self.weight[~np.isfinite(self.candidate)].sum() / self.weight.sum()),
        }

    def transactions_to_fail(self, draws: int, length: int, seed: int = 0) -> dict[str, float]:
        """Median number of transactions after which each gate fails; infinity where most draws end before it does."""
        rng = np.random.default_rng(seed)
        share = self.weight / self.weight.sum()
        old, new = self.stable >= self.threshold, self.candidate >= self.threshold
        found: dict[str, list[float]] = {"retention": [], "newAlerts": [], "alertRatioHigh": [], "alertRatioLow": []}
        for _ in range(draws):
            rows = rng.choice(len(old), length, p=share)
            a, b = old[rows], new[rows]
            found["retention"].append(first(retention(a & b, a & ~b, MIN_RETENTION, LOST), 1 / ALPHA))
            found["newAlerts"].append(first(ratio(b & ~a, a, 0.5), 1 / ALPHA))
            found["alertRatioHigh"].append(first(ratio(b, a, 2.0), 2 / ALPHA))
            found["alertRatioLow"].append(first(ratio(a, b, 2.0), 2 / ALPHA))
        return {name: float(np.median(values)) for name, values in found.items()}


def ratio(events: np.ndarray, others: np.ndarray, tolerated: float) -> np.ndarray:
    """Logarithm of the evidence, after each transaction, that `events` are more than `tolerated` times the `others`."""
    p0 = tolerated / (tolerated + 1)
    steps = []
    for growth in GROWTH:
        p = tolerated * growth / (tolerated * growth + 1)
        steps.append(np.cumsum(events * np.log(p / p0) + others * np.log((1 - p) / (1 - p0))))
    return _mean(steps)


def retention(held: np.ndarray, lost: np.ndarray, limit: float, alternatives: Sequence[float]) -> np.ndarray:
    """Logarithm of the evidence that another share than `limit` is kept: less for `LOST`, more for `KEPT`."""
    return _mean([np.cumsum(held * np.log(p / limit) + lost * np.log((1 - p) / (1 - limit))) for p in alternatives])


def _mean(logs: Sequence[np.ndarray]) -> np.ndarray:
    return np.logaddexp.reduce(np.array(logs), axis=0) - np.log(len(logs))


def first(evidence: np.ndarray, limit: float) -> float:
    """After how many transactions the evidence first reaches the limit; infinity for never."""
    over = evidence >= np.log(limit)
    return float(np.argmax(over) + 1) if over.any() else float("inf")


def psi(reference: np.ndarray, live: np.ndarray) -> float:
    """Population stability index of two tables of counts; half a count is added to each, so that none is zero."""
    a, b = (counts + 0.5 for counts in (np.asarray(reference, float), np.asarray(live, float)))
    a, b = a / a.sum(), b / b.sum()
    return float(((b - a) * np.log(b / a)).sum())


def self_psi(histogram: dict, score: np.ndarray, weight: np.ndarray) -> float:
    """The scores of now beside those that the file says its model gave before."""
    finite = np.isfinite(score)
    bins = np.searchsorted(HISTOGRAM_EDGES, score[finite], side="right")
    return psi(histogram["counts"], np.bincount(bins, weight[finite], minlength=len(HISTOGRAM_EDGES) + 1))
