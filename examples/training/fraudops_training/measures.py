"""All that is measured of a model on labelled rows, as a tree of numbers for files and pages."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import brier_score_loss

from .dataset import Transactions
from .metadata import HISTOGRAM_EDGES
from .metrics import ap_interval, evaluate, recall_by_scenario


def measure(rows: Transactions, score: np.ndarray, thresholds: dict[str, float]) -> dict:
    """Ranking, decisions at the thresholds, recall by fraud scenario, and calibration."""
    result = evaluate(rows, score)
    return {
        "rows": len(rows),
        "frauds": int(rows.label.sum()),
        "auc": result.auc,
        "ap": result.ap,
        "apInterval": list(ap_interval(rows, score)),
        "cp100": result.card_precision,
        "cp100Ceiling": result.ceiling,
        "cp100OfCeiling": result.card_precision / result.ceiling,
        "decisions": {name: _decision(rows, score, limit) for name, limit in thresholds.items()},
        "calibration": _calibration(rows.label, score),
    }


def flat(tree: dict, prefix: str = "") -> dict[str, float]:
    """Leaves that are numbers, by their path: `decisions.review.recall`."""
    leaves: dict[str, float] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            leaves |= flat(value, f"{path}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            leaves[path] = float(value)
    return leaves


def _decision(rows: Transactions, score: np.ndarray, threshold: float) -> dict:
    alerts = score >= threshold
    fraud = rows.label == 1
    hits = int((alerts & fraud).sum())
    return {
        "threshold": threshold,
        "alertRate": float(alerts.mean()),
        # Nobody can say how precise no alert is: 0, so that it never looks like a success.
        "precision": hits / max(int(alerts.sum()), 1),
        "recall": hits / max(int(fraud.sum()), 1),
        "recallByScenario": {str(code): share for code, share in recall_by_scenario(rows, score, threshold).items()},
    }


def _calibration(label: np.ndarray, score: np.ndarray) -> dict:
    """Expected against observed frauds, in all and in the bins of the scorer's histogram."""
    bins = np.searchsorted(HISTOGRAM_EDGES, score, side="right")
    edges = (0.0, *HISTOGRAM_EDGES, 1.0)
    expected, observed = float(score.sum(dtype=np.float64)), int(label.sum())
    return {
        "expected": expected,
        "observed": observed,
        "ratio": expected / max(observed, 1),
        "brier": float(brier_score_loss(label, score)),
        "bins": [
            {
                "from": edges[number],
                "to": edges[number + 1],
                "rows": int(inside.sum()),
                "mean": float(score[inside].mean(dtype=np.float64)),
                "observed": float(label[inside].mean()),
            }
            for number in range(len(edges) - 1)
            if (inside := bins == number).any()
        ],
    }
