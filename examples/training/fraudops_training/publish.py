"""Measure, export, prove, and only then write: the second half of `train`, and all of `export`."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import card, golden, metadata, parity
from .dataset import Transactions
from .errors import TrainingError
from .files import write_all, write_through
from .measures import measure
from .metadata import Identity
from .model import Classifier, native, probability
from .onnx_model import Scorer, convert
from .programs import scorer_check
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
    scorer: Path | None = None
    """The scorer's program, which is asked whether it would serve the file; nobody is asked without one."""

    @property
    def stem(self) -> str:
        """Name of the files without extension."""
        return f"{self.identity.name}-{self.identity.version}"


@dataclass(frozen=True)
class Assembled:
    """A model in all its forms, proven and not yet written anywhere."""

    stem: str
    onnx: bytes
    native: tuple[str, bytes]
    values: dict
    measures: dict
    parity: parity.Parity
    test: Transactions
    test_score: np.ndarray

    @property
    def sha256(self) -> str:
        """Digest of the ONNX file: the model's identity."""
        return hashlib.sha256(self.onnx).hexdigest()

    def card(self, pictures: tuple[str, ...] = ()) -> bytes:
        """The model card."""
        return card.render(self.values, self.measures, self.parity, pictures).encode()

    def report(self, tuning: dict | None = None) -> bytes:
        """Everything that was measured, as JSON."""
        report = {
            **{name: value for name, value in self.values.items() if name != "golden"},
            "measures": self.measures,
            "parity": self.parity.as_dict(),
            **({"validation": tuning} if tuning else {}),
        }
        return (json.dumps(report, indent=2) + "\n").encode()


def publish(model: Classifier, rows: Transactions, request: Request, tuning: dict | None = None) -> Assembled:
    """Writes the model, its native form, the card and the report, or nothing.

    The ONNX file is renamed last: where it exists, the other three are whole.
    """
    refuse_taken_names(request)
    made = assemble(model, split(rows, request.protocol), request)
    suffix, native_form = made.native
    write_all(
        request.out,
        {
            f"{made.stem}{suffix}": native_form,
            f"{made.stem}.md": made.card(),
            f"{made.stem}.report.json": made.report(tuning),
            f"{made.stem}.onnx": made.onnx,
        },
    )
    return made


def assemble(model: Classifier, parts: Split, request: Request) -> Assembled:
    """Exports and measures; an error when the export does not score like the model."""
    test_score = probability(model, parts.test.features)
    proto = convert(model)
    exported = Scorer(proto.SerializeToString()).probability(parts.test.features)
    check = parity.compare(test_score, exported, request.thresholds)
    parity.require(check, request.min_parity_rows)

    measures = measure(parts.test, test_score, request.thresholds)
    values = describe(parts, request, measures, test_score, probability(model, parts.delay.features))
    metadata.attach(proto, values, request.identity.version, card.summary(values))
    data = proto.SerializeToString()
    replay_golden(Scorer(data), request.stem)
    if request.scorer:
        _ask_scorer(data, request)
    return Assembled(request.stem, data, native(model), values, measures, check, parts.test, test_score)


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


def describe(
    parts: Split, request: Request, measures: dict, test_score: np.ndarray, delay_score: np.ndarray
) -> dict[str, object]:
    """The values of the metadata keys."""
    train, delay, test = request.protocol.periods()
    chosen = golden.choose(test_score)
    return {
        "model": request.identity.as_dict(),
        "features": metadata.profile(parts.train.features),
        "thresholds": request.thresholds,
        "scoreHist": metadata.histogram(delay_score, str(delay)),
        "metrics": {
            "split": f"train {train}, delay {delay}, test {test}",
            **{name: round(measures[name], 4) for name in ("auc", "ap", "cp100", "cp100Ceiling")},
            "fraudRate": round(measures["frauds"] / measures["rows"], 6),
            "n": measures["rows"],
            "alertRate": {name: round(made["alertRate"], 6) for name, made in measures["decisions"].items()},
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


def _ask_scorer(data: bytes, request: Request) -> None:
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{request.stem}.onnx"
            write_through(file, data)
            scorer_check(file, request.scorer)
    except OSError as error:
        raise TrainingError(f"the file for the scorer's check: {error.strerror}") from error
