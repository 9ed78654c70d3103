"""Measure, export, prove, and only then write: the second half of `train`, and all of `export`."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import card, golden, metadata, parity
from .dataset import Transactions
from .errors import TrainingError
from .metadata import Identity
from .metrics import Evaluation, evaluate, recall_by_scenario
from .model import Classifier, native, probability
from .onnx_model import Scorer, convert
from .split import Protocol, Split, split


@dataclass(frozen=True)
class Request:
    """What to publish and where to."""

    out: Path
    identity: Identity
    protocol: Protocol
    thresholds: dict[str, float]
    data_sha256: str
    min_parity_rows: int = parity.MIN_ROWS
    overwrite: bool = False

    @property
    def stem(self) -> str:
        """Name of the files without extension."""
        return f"{self.identity.name}-{self.identity.version}"


@dataclass(frozen=True)
class Published:
    """What was written, with the numbers that people ask for first."""

    onnx: Path
    size: int
    sha256: str
    evaluation: Evaluation
    parity: parity.Parity


def publish(model: Classifier, rows: Transactions, request: Request) -> Published:
    """Writes the model, its native form, the card and the report, or nothing.

    The ONNX file is renamed last: where it exists, the other three are whole.
    """
    refuse_taken_names(request)
    parts = split(rows, request.protocol)
    test_score = probability(model, parts.test.features)
    evaluation = evaluate(parts.test, test_score)
    proto = convert(model)
    check = parity.compare(
        test_score, Scorer(proto.SerializeToString()).probability(parts.test.features), request.thresholds
    )
    parity.require(check, request.min_parity_rows)

    periods = request.protocol.periods()
    delay_score = probability(model, parts.delay.features)
    values = _values(parts, request, evaluation, test_score, delay_score)
    metadata.attach(proto, values, request.identity.version, card.summary(request.identity, evaluation, periods))
    recall = {name: recall_by_scenario(parts.test, test_score, limit) for name, limit in request.thresholds.items()}
    data = proto.SerializeToString()
    replay_golden(Scorer(data), request.stem)
    report = {
        **{name: value for name, value in values.items() if name != "golden"},
        "parity": check.as_dict(),
        "recall": recall,
    }
    native_suffix, native_form = native(model)
    _write_all(
        request,
        {
            native_suffix: native_form,
            ".md": card.render(request.identity, evaluation, periods, values, check, recall).encode(),
            ".report.json": (json.dumps(report, indent=2) + "\n").encode(),
            ".onnx": data,
        },
    )
    return Published(
        request.out / f"{request.stem}.onnx", len(data), hashlib.sha256(data).hexdigest(), evaluation, check
    )


def refuse_taken_names(request: Request) -> None:
    """A version is published once; `--overwrite` is for experiments."""
    taken = request.out / f"{request.stem}.onnx"
    if taken.exists() and not request.overwrite:
        raise TrainingError(f"{taken} exists: give a new --version, or --overwrite")


def replay_golden(scorer: Scorer, name: str) -> float:
    """Largest difference on the golden rows; the scorer does the same before it takes traffic."""
    features, expected = golden.decode(scorer.metadata.get(metadata.key("golden"), "null"))
    difference = float(abs(scorer.probability(features) - expected).max())
    if not difference <= golden.TOLERANCE:
        raise TrainingError(f"{name}: golden rows differ by {difference:.2g}, limit {golden.TOLERANCE:.0e}")
    return difference


def _values(
    parts: Split, request: Request, evaluation: Evaluation, test_score: np.ndarray, delay_score: np.ndarray
) -> dict:
    train, delay, test = request.protocol.periods()
    chosen = golden.choose(test_score)
    return {
        "model": request.identity.as_dict(),
        "features": metadata.profile(parts.train.features),
        "thresholds": request.thresholds,
        "scoreHist": metadata.histogram(delay_score, str(delay)),
        "metrics": {
            "split": f"train {train}, delay {delay}, test {test}",
            "auc": round(evaluation.auc, 4),
            "ap": round(evaluation.ap, 4),
            "cp100": round(evaluation.card_precision, 4),
            "cp100Ceiling": round(evaluation.ceiling, 4),
            "fraudRate": round(float(parts.test.label.mean()), 6),
            "n": len(parts.test),
            "alertRate": {
                name: round(float((test_score >= limit).mean()), 6) for name, limit in request.thresholds.items()
            },
        },
        "trainingData": {
            "sha256": request.data_sha256,
            "rows": len(parts.train),
            "frauds": int(parts.train.label.sum()),
            "from": str(train.first),
            "to": str(train.last),
            "delayDays": request.protocol.delay_days,
        },
        "golden": golden.encode(parts.test.features[chosen], test_score[chosen]),
    }


def _write_all(request: Request, files: dict[str, bytes]) -> None:
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=request.out) as staging:
            for suffix, data in files.items():
                with (Path(staging) / suffix).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            for suffix in files:
                (Path(staging) / suffix).replace(request.out / f"{request.stem}{suffix}")
    except OSError as error:
        raise TrainingError(f"--out {request.out}: {error.strerror}") from error
