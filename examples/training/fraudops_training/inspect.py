"""What an ONNX file says about itself, checked as the scorer checks it."""

from __future__ import annotations

import json
from pathlib import Path

from .dataset import sha256_of
from .errors import TrainingError
from .metadata import HISTOGRAM_EDGES
from .onnx_model import Scorer
from .publish import replay_golden
from .schema import FEATURES, METADATA_SCHEMA, key

REQUIRED = (
    "schema",
    "model",
    "features",
    "output",
    "thresholds",
    "scoreHist",
    "metrics",
    "trainingData",
    "golden",
)


def describe(path: Path) -> str:
    """A few lines for people; an error when a scorer would refuse the file."""
    scorer, values = read(path)
    return _lines(path, values, replay_golden(scorer, str(path)))


def read(path: Path) -> tuple[Scorer, dict]:
    """The model and its metadata; an error when either is not what a scorer expects."""
    scorer = Scorer(path)
    missing = [key(name) for name in REQUIRED if key(name) not in scorer.metadata]
    if missing:
        raise TrainingError(f"{path}: missing metadata {', '.join(missing)}")
    if scorer.metadata[key("schema")] != METADATA_SCHEMA:
        raise TrainingError(f"{path}: metadata schema {scorer.metadata[key('schema')]!r}, expected {METADATA_SCHEMA!r}")
    values = {name: _parse(path, name, scorer.metadata[key(name)]) for name in REQUIRED[1:-1]}
    try:
        _check_features(path, [feature["name"] for feature in values["features"]])
        if tuple(values["scoreHist"]["edges"]) != HISTOGRAM_EDGES:
            raise TrainingError(f"{path}: the score histogram has other edges than {HISTOGRAM_EDGES}")
        for name in ("review", "block"):
            float(values["thresholds"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: metadata lacks {error}") from error
    return scorer, values


def _lines(path: Path, values: dict, difference: float) -> str:
    model, metrics, limits = values["model"], values["metrics"], values["thresholds"]
    return "\n".join(
        [
            f"{model['name']} {model['version']}: {model['algorithm']}, made {model['createdAt']}",
            f"  sha256      {sha256_of(path)}",
            f"  size        {path.stat().st_size:,} bytes",
            f"  thresholds  review {limits['review']:g}, block {limits['block']:g}",
            f"  measured    {metrics['split']}",
            f"              AUC {metrics['auc']:.3f}, AP {metrics['ap']:.3f}, "
            f"card precision@100 {metrics['cp100']:.3f} of {metrics['cp100Ceiling']:.3f}",
            f"  golden      largest difference {difference:.1e}",
        ]
    )


def _parse(path: Path, name: str, value: str) -> object:
    try:
        return json.loads(value)
    except ValueError as error:
        raise TrainingError(f"{path}: metadata {key(name)} is not JSON: {error}") from error


def _check_features(path: Path, found: list[str]) -> None:
    for position, (expected, name) in enumerate(zip(FEATURES, found, strict=False)):
        if expected != name:
            raise TrainingError(f"{path}: feature {position} is {name}, expected {expected}")
    if len(found) != len(FEATURES):
        raise TrainingError(f"{path}: {len(found)} features, expected {len(FEATURES)}")
