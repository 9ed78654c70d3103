"""docs/science.md: the handbook's published figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from . import handbook
from .handbook import Row
from .reproduce import Results

TEMPLATE = Path(__file__).with_name("science.md.in")
MEASURES = ("AUC", "AP", "CP@100")


def render(results: Sequence[Results]) -> str:
    """The whole page: prose from the template, tables from the results."""
    seeds = [result.seed for result in results]
    values = {
        "seeds": f"{len(seeds)} seeds ({', '.join(map(str, seeds))})",
        "baseline": _table(handbook.BASELINE, [result.baseline for result in results]),
        "prequential": _table(handbook.PREQUENTIAL, [result.prequential for result in results]),
        "statistics": _statistics([result.statistics for result in results]),
        "single": _single(results),
        "bounds": _bounds(results),
        "versions": ", ".join(
            f"{name} {version(name)}" for name in ("scikit-learn", "xgboost-cpu", "lightgbm", "numpy")
        ),
        "verdict": _verdict(results),
        "ceiling": "{:.3f} to {:.3f}".format(*_ends([result.ceiling for result in results])),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _table(rows: Sequence[Row], measured: Sequence[dict]) -> str:
    lines = [
        "| model | handbook AUC / AP / CP@100 | ours, AUC | ours, AP | ours, CP@100 | handbook's AP from ours, in sd |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = np.array([result[row.title] for result in measured])
        ours = " | ".join(f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(*_moments(figures), strict=True))
        published = " / ".join(f"{value:.3f}" for value in row.published) if row.published else "-"
        lines.append(f"| {row.title} | {published} | {ours} | {_distance(row, figures)} |")
    return "\n".join(lines)


def _distance(row: Row, figures: np.ndarray) -> str:
    """How many standard deviations of our data sets the handbook's one lies away."""
    if row.published is None or len(figures) < 2:
        return "-"
    mean, sd = _moments(figures)
    return f"{(row.published[1] - mean[1]) / sd[1]:+.1f}"


def _moments(figures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return figures.mean(axis=0), figures.std(axis=0, ddof=1 if len(figures) > 1 else 0)


def _statistics(measured: Sequence[dict[str, float]]) -> str:
    lines = ["| quantity | published data | ours, mean ± sd | ours, least to most |", "|---|---|---|---|"]
    for name, published in handbook.STATISTICS.items():
        values = np.array([statistics[name] for statistics in measured])
        mean, sd = _moments(values)
        lines.append(
            f"| {name} | {_short(published)} | {_short(mean)} ± {_short(sd)} | {_short(values.min())} to "
            f"{_short(values.max())} |"
        )
    return "\n".join(lines)


def _short(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.3g}"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _single(results: Sequence[Results]) -> str:
    """Average precision for each data set: the spread is between data sets, not between models."""
    head = "| seed | test rows | frauds | perfect CP@100 | " + " | ".join(row.title for row in handbook.BASELINE) + " |"
    lines = [head, "|---" * (4 + len(handbook.BASELINE)) + "|"]
    for result in results:
        figures = " | ".join(f"{result.baseline[row.title][1]:.3f}" for row in handbook.BASELINE)
        rows, frauds = result.test
        lines.append(f"| {result.seed} | {rows:,} | {frauds} | {result.ceiling:.3f} | {figures} |")
    return "\n".join(lines)


def _bounds(results: Sequence[Results]) -> str:
    lines = ["| model | bounds for AP of one data set | ours, least to most | inside |", "|---|---|---|---|"]
    for title, (low, high) in handbook.BOUNDS.items():
        values = [result.baseline[title][1] for result in results]
        inside = sum(low <= value <= high for value in values)
        lines.append(
            f"| {title} | {low:.2f} to {high:.2f} | {min(values):.3f} to {max(values):.3f} | "
            f"{inside} of {len(values)} |"
        )
    return "\n".join(lines)


def _verdict(results: Sequence[Results]) -> str:
    """One sentence for the top of the page, counted and not claimed."""
    within, all_of = 0, 0
    for rows, measured in (
        (handbook.BASELINE, [result.baseline for result in results]),
        (handbook.PREQUENTIAL, [result.prequential for result in results]),
    ):
        for row in (row for row in rows if row.published):
            mean, sd = _moments(np.array([result[row.title] for result in measured]))
            within += int((np.abs(np.array(row.published) - mean) <= 2 * sd).sum())
            all_of += len(MEASURES)
    return f"{within} of {all_of} published figures lie within two standard deviations of our mean"
