"""The pictures of a model card, as PNG. The same numbers give the same picture."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from .dataset import Transactions
from .metadata import HISTOGRAM_EDGES

SIZE = (6.0, 4.0)
DPI = 80


def draw(rows: Transactions, score: np.ndarray, measures: dict, tuning: dict | None = None) -> dict[str, bytes]:
    """Pictures by file name."""
    pictures = {
        "precision-recall.png": _precision_recall(rows, score, measures),
        "calibration.png": _calibration(measures),
        "scores.png": _scores(rows, score),
        "scenarios.png": _scenarios(measures),
    }
    if tuning and len(tuning["trials"]) > 1:
        pictures["validation.png"] = _validation(tuning)
    return pictures


def _precision_recall(rows: Transactions, score: np.ndarray, measures: dict) -> bytes:
    figure, axes = _axes("Precision and recall", "recall", "precision")
    precision, recall, _ = precision_recall_curve(rows.label, score)
    axes.step(recall, precision, where="post", label=f"average precision {measures['ap']:.3f}")
    for name, decision in measures["decisions"].items():
        axes.plot(decision["recall"], decision["precision"], "o", label=f"{name} at {decision['threshold']:g}")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    return _png(figure)


def _calibration(measures: dict) -> bytes:
    figure, axes = _axes("Calibration", "mean score of the bin", "share of fraud in it")
    bins = measures["calibration"]["bins"]
    axes.plot([1e-4, 1], [1e-4, 1], color="grey", linewidth=1, label="calibrated")
    # On a logarithmic axis a bin without fraud has no place; it is drawn at the bottom.
    observed = [max(entry["observed"], 1e-4) for entry in bins]
    axes.plot([max(entry["mean"], 1e-4) for entry in bins], observed, "o-", label="model")
    axes.set(xscale="log", yscale="log")
    axes.legend()
    return _png(figure)


def _scores(rows: Transactions, score: np.ndarray) -> bytes:
    figure, axes = _axes("Scores", "score, from", "share of the rows")
    labels = [f"{edge:g}" for edge in (0, *HISTOGRAM_EDGES)]
    for offset, kind, name in ((-0.2, 0, "genuine"), (0.2, 1, "fraud")):
        bins = np.searchsorted(HISTOGRAM_EDGES, score[rows.label == kind], side="right")
        counts = np.bincount(bins, minlength=len(labels))
        axes.bar(np.arange(len(labels)) + offset, counts / max(counts.sum(), 1), 0.4, label=name)
    axes.set_xticks(range(len(labels)), labels, rotation=45)
    axes.legend()
    return _png(figure)


def _scenarios(measures: dict) -> bytes:
    figure, axes = _axes("Recall by fraud scenario", "scenario", "recall")
    width = 0.8 / max(len(measures["decisions"]), 1)
    for number, (name, decision) in enumerate(measures["decisions"].items()):
        recall = decision["recallByScenario"]
        axes.bar(np.arange(len(recall)) + number * width, list(recall.values()), width, label=name)
        axes.set_xticks(np.arange(len(recall)) + width / 2, list(recall))
    axes.set_ylim(0, 1.02)
    axes.legend()
    return _png(figure)


def _validation(tuning: dict) -> bytes:
    figure, axes = _axes("Prequential validation", "average precision, mean and sd over the folds", "")
    trials = tuning["trials"][::-1]
    names = [", ".join(f"{key} {value}" for key, value in trial["settings"].items()) for trial in trials]
    axes.errorbar([t["ap"]["mean"] for t in trials], range(len(trials)), xerr=[t["ap"]["sd"] for t in trials], fmt="o")
    axes.set_yticks(range(len(trials)), names, fontsize=7)
    return _png(figure)


def _axes(title: str, x: str, y: str) -> tuple:
    figure = Figure(SIZE, DPI, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without the version of matplotlib in it, so that pictures do not change with an update alone.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
