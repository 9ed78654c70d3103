"""The catalogue on disk: models, the sample that they are measured on, what was measured, and the page about it."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from .catalogue import ENTRIES, START, Entry, World
from .catalogue_page import page
from .dataset import Transactions, read_transactions, sha256_of
from .files import write_all
from .gates import Pairs, self_psi
from .onnx_model import Scorer
from .programs import simulate
from .progress import follow
from .schema import FEATURES, LABEL, key
from .split import Protocol

STABLE = "v2-xgboost"
BLOCK = 0.5
WEIGHT = "WEIGHT"
SAMPLE = "sample.parquet"
INDEX = "catalogue.json"
SAMPLED_GENUINE = 3_000
NOTICED = 0.02
"""Rows that the stable model scores higher are all in the sample: what alerts is decided among them."""

DRAWS, LENGTH = 20, 60_000
HEAVY = ("bad-slow", "bad-memory")
"""Not scored on thousands of rows."""


def make(out: Path, simulator: Path | None) -> None:
    """Trains, spoils, measures and writes everything, or nothing. The same versions give the same files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "transactions.parquet"
        simulate(file, {"seed": 0}, simulator)
        rows = read_transactions(file)
        world = World(rows, file, sha256_of(file))
        models = {entry.name: world.once(entry.name) for entry in follow(ENTRIES, "models")}
    week = rows.at(Protocol(START).periods()[2].mask(rows.day))
    stable = Scorer(models[STABLE]).probability(week.features)
    sample = take_sample(week, stable)
    index = [
        {
            **_described(entry, models[entry.name]),
            "measured": measure(models[entry.name], models[STABLE], *sample, is_heavy=entry.name in HEAVY),
            "transactions": _noticed(entry, models, week, stable),
        }
        for entry in follow(ENTRIES, "measures")
    ]
    write_all(
        out,
        {
            **{f"{name}.onnx": data for name, data in models.items()},
            SAMPLE: _sample_file(*sample),
            INDEX: (json.dumps(index, indent=1) + "\n").encode(),
            "README.md": page(index).encode(),
        },
    )


def take_sample(week: Transactions, stable: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and weights: every fraud, every row that the stable model noticed, and some of the others."""
    wanted = (week.label == 1) | (stable >= NOTICED)
    others = np.flatnonzero(~wanted)
    some = np.random.default_rng(0).choice(others, min(SAMPLED_GENUINE, len(others)), replace=False)
    rows = np.r_[np.flatnonzero(wanted), np.sort(some)]
    weight = np.ones(len(rows))
    weight[-len(some) :] = len(others) / len(some)
    return week.features[rows], week.label[rows], weight


def read_sample(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `take_sample` gave, from its file."""
    table = pyarrow.parquet.read_table(folder / SAMPLE)
    features = np.column_stack([table[name].to_numpy() for name in FEATURES])
    return features, table[LABEL].to_numpy(), table[WEIGHT].to_numpy()


def measure(
    model: bytes,
    stable: bytes,
    features: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    *,
    is_heavy: bool = False,
) -> dict[str, float]:
    """How a candidate does beside the stable model; a heavy one is only timed."""
    scorer = Scorer(model)
    if is_heavy:
        return {"milliseconds": _milliseconds(scorer, features, 3)}
    score = scorer.probability(features)
    pairs = Pairs(Scorer(stable).probability(features), score, weight, BLOCK)
    finite = np.isfinite(score)
    return {
        "ap": _average_precision(label[finite], score[finite], weight[finite]),
        "recall": float(weight[(score >= BLOCK) & (label == 1)].sum() / weight[label == 1].sum()),
        **pairs.compare(),
        "selfPsi": self_psi(json.loads(scorer.metadata[key("scoreHist")]), score, weight),
    }


def _average_precision(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(label, score, sample_weight=weight))


def _milliseconds(scorer: Scorer, features: np.ndarray, rows: int) -> float:
    """Of one row alone: the median of some."""
    times = []
    for row in features[:rows]:
        began = time.perf_counter()
        scorer.probability(row[None])
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def _described(entry: Entry, model: bytes) -> dict:
    return {
        "name": entry.name,
        "version": entry.version,
        "title": entry.title,
        "wrong": entry.wrong,
        "gate": entry.gate,
        "bytes": len(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "reported": json.loads(Scorer(model).metadata[key("metrics")])["ap"],
    }


def _noticed(entry: Entry, models: dict[str, bytes], week: Transactions, stable: np.ndarray) -> dict[str, int | None]:
    """Median transactions until each gate fails the candidate, in shadow of the stable model; null for never."""
    if entry.name in (*HEAVY, STABLE):
        return {}
    pairs = Pairs(stable, Scorer(models[entry.name]).probability(week.features), np.ones(len(week)), BLOCK)
    found = pairs.transactions_to_fail(DRAWS, LENGTH)
    return {name: int(count) if math.isfinite(count) else None for name, count in found.items()}


def _sample_file(features: np.ndarray, label: np.ndarray, weight: np.ndarray) -> bytes:
    table = pa.table({LABEL: label.astype(np.int8), WEIGHT: weight, **dict(zip(FEATURES, features.T, strict=True))})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd", compression_level=19)
    return buffer.getvalue()
