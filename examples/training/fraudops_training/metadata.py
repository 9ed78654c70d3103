"""What travels inside the ONNX file, so that a scorer needs nothing beside it."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass

import numpy as np
import onnx

from .schema import FEATURES, FRAUD_COLUMN, METADATA_SCHEMA, PROBABILITY_OUTPUT, key

HISTOGRAM_EDGES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Identity:
    """Who made which model, when and from what."""

    name: str
    version: str
    created_at: dt.datetime
    algorithm: str
    trainer: str
    git: str | None
    licence: str

    def as_dict(self) -> dict:
        """The value of the metadata key `model`."""
        value = {
            "name": self.name,
            "version": self.version,
            "createdAt": self.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "algorithm": self.algorithm,
            "trainer": self.trainer,
            "git": self.git,
            "licence": self.licence,
        }
        return {name: entry for name, entry in value.items() if entry is not None}


def profile(features: np.ndarray) -> list[dict]:
    """Range, deciles and share of zeros of every feature of the training rows.

    `zeroShare` stands apart because a feature that is nearly always zero has no distinct deciles.
    """
    deciles = np.quantile(features, np.arange(1, 10) / 10, axis=0).T
    return [
        {
            "name": name,
            "dtype": "float32",
            "min": _short(column.min()),
            "max": _short(column.max()),
            "median": _short(np.median(column)),
            "zeroShare": round(float((column == 0).mean()), 6),
            "missing": "reject",
            "q": [_short(q) for q in quantiles],
        }
        for name, column, quantiles in zip(FEATURES, features.T, deciles, strict=True)
    ]


def histogram(probability: np.ndarray, period: str) -> dict:
    """Counts of scores in twelve bins that resolve the small probabilities; `period` was not trained on."""
    bins = np.searchsorted(HISTOGRAM_EDGES, probability, side="right")
    counts = np.bincount(bins, minlength=len(HISTOGRAM_EDGES) + 1)
    return {"edges": list(HISTOGRAM_EDGES), "counts": counts.tolist(), "period": period}


def attach(proto: onnx.ModelProto, values: dict[str, object], version: str, doc: str) -> None:
    """Writes the values under their keys; structured values as JSON."""
    entries = {"schema": METADATA_SCHEMA, "output": _OUTPUT, **values}
    onnx.helper.set_model_props(
        proto,
        {key(n): v if isinstance(v, str) else json.dumps(v, separators=(",", ":")) for n, v in entries.items()},
    )
    proto.model_version = numeric_version(version)
    proto.doc_string = doc
    proto.producer_name = "fraudops-training"


def numeric_version(version: str) -> int:
    """`2026.11.1` as 2026011001 for ONNX's integer field; 0 when the version is not three numbers."""
    parts = re.fullmatch(r"(\d{1,6})\.(\d{1,3})\.(\d{1,3})", version)
    if parts is None:
        return 0
    major, minor, patch = map(int, parts.groups())
    return major * 1_000_000 + minor * 1_000 + patch


def _short(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(str(np.float32(value)))


_OUTPUT = {"tensor": PROBABILITY_OUTPUT, "column": FRAUD_COLUMN, "calibrated": False}
