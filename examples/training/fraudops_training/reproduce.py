"""The handbook's experiments on data sets of the same size from our generator."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xgboost import XGBClassifier

from . import handbook, model
from .dataset import Transactions, read_transactions
from .handbook import Figures, Row
from .metrics import evaluate
from .model import Classifier
from .prequential import later_folds
from .programs import simulate
from .progress import say
from .schema import AMOUNT, FEATURES
from .split import Protocol, Split, split

START = dt.date(2018, 7, 25)
FOLDS = 4
RAMP_DAYS = 30


@dataclass(frozen=True)
class Results:
    """Of one data set."""

    seed: int
    statistics: dict[str, float]
    ceiling: float
    test: tuple[int, int]
    baseline: dict[str, Figures]
    prequential: dict[str, Figures]
    seconds: float


def reproduce(seeds: Sequence[int], simulator: Path | None, workers: int | None = None) -> list[Results]:
    """Runs all experiments on each seed's data set, several at a time; in the order of the seeds."""
    workers = min(workers or os.cpu_count() or 1, len(seeds))
    done: dict[int, Results] = {}
    with ProcessPoolExecutor(workers) as pool:
        waiting = [pool.submit(one, seed, simulator) for seed in seeds]
        for future in as_completed(waiting):
            result = future.result()
            done[result.seed] = result
            say(f"seed {result.seed}: {result.seconds:.0f} s ({len(done)} of {len(seeds)} done)")
    return [done[seed] for seed in seeds]


def one(seed: int, simulator: Path | None) -> Results:
    """All experiments on one data set, which is not kept."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transactions.parquet"
        simulate(file, {"seed": seed, "threads": 1}, simulator)
        rows = read_transactions(file)
    parts = split(rows, Protocol(START))
    folds = [parts, *(split(rows, protocol) for protocol in later_folds(Protocol(START), FOLDS)[1:])]
    return Results(
        seed=seed,
        statistics=statistics(rows),
        ceiling=evaluate(parts.test, parts.test.label.astype(float)).card_precision,
        test=(len(parts.test), int(parts.test.label.sum())),
        baseline={row.title: _figures(row, [parts]) for row in handbook.BASELINE},
        prequential={row.title: _figures(row, folds) for row in handbook.PREQUENTIAL},
        seconds=time.monotonic() - began,
    )


def _figures(row: Row, folds: Sequence[Split]) -> Figures:
    """Mean over the folds."""
    measured = []
    for parts in folds:
        fitted = _fit(row, parts.train)
        result = evaluate(parts.test, model.probability(fitted, parts.test.features))
        measured.append((result.auc, result.ap, result.card_precision))
    return tuple(np.mean(measured, axis=0).tolist())


def _fit(row: Row, train: Transactions) -> Classifier:
    """By the rules of `model`, but for what shows why they are rules."""
    if row.algorithm == "xgboost-defaults":
        return XGBClassifier(random_state=0, n_jobs=1).fit(train.features, train.label)
    return model.fit(train, row.algorithm, row.settings)


def statistics(rows: Transactions) -> dict[str, float]:
    """The quantities that the handbook's data set is known by; the names are those of `handbook.STATISTICS`."""
    amount = rows.features[:, FEATURES.index(AMOUNT)].astype(float)
    fraud = rows.label == 1
    day = (rows.day - rows.day.min()).astype(int)
    rows_of_day, frauds_of_day = np.bincount(day), np.bincount(day, fraud)
    settled = frauds_of_day[RAMP_DAYS:]
    late = fraud & (day >= RAMP_DAYS)
    cards = len(np.unique(np.column_stack([day[late], rows.customer[late]]), axis=0)) / len(settled)
    low, middle, high, *tail = np.percentile(amount[~fraud], (25, 50, 75, 95, 99, 99.9))
    codes = np.bincount(rows.scenario, minlength=4)
    values = (
        len(rows), fraud.sum(), 100 * fraud.mean(), *codes[1:4], amount.mean(), amount.max(),
        rows_of_day.mean(), rows_of_day.std(), settled.mean(), settled.std(), frauds_of_day[:7].mean(), cards,
        low, middle, high, *tail,
        100 * rows.features[:, FEATURES.index("TX_DURING_NIGHT")].mean(dtype=float),
        100 * rows.features[:, FEATURES.index("TX_DURING_WEEKEND")].mean(dtype=float),
        len(np.unique(rows.customer)),
    )  # fmt: skip
    return {name: float(value) for name, value in zip(handbook.STATISTICS, values, strict=True)}
