"""Golden rows: inputs with their probability, replayed by the scorer before it takes traffic."""

from __future__ import annotations

import base64
import binascii
import json

import numpy as np

from .errors import TrainingError
from .schema import FEATURES

ROWS = 32
TOLERANCE = 1e-4


def choose(probability: np.ndarray, rows: int = ROWS) -> np.ndarray:
    """Indices of rows whose probabilities are spread over the whole range, not over the bulk near zero."""
    _, first = np.unique(probability, return_index=True)
    if len(first) < rows:
        return np.resize(first, rows)
    targets = np.geomspace(max(probability[first[0]], 1e-6), probability[first[-1]], rows)
    values = probability[first]
    chosen: list[int] = []
    for target in targets:
        for candidate in np.argsort(np.abs(np.log(np.maximum(values, 1e-6) / target)), kind="stable"):
            if first[candidate] not in chosen:
                chosen.append(int(first[candidate]))
                break
    return np.array(chosen)


def encode(features: np.ndarray, probability: np.ndarray) -> str:
    """The value of the metadata key: little-endian float32, the probability as the last column."""
    table = np.column_stack([features, probability]).astype("<f4")
    return json.dumps(
        {
            "rows": table.shape[0],
            "features": features.shape[1],
            "data": base64.b64encode(table.tobytes()).decode(),
        }
    )


def decode(value: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and probabilities; the inverse of `encode`."""
    try:
        golden = json.loads(value)
        rows, width = int(golden["rows"]), int(golden["features"])
        table = np.frombuffer(base64.b64decode(golden["data"], validate=True), dtype="<f4")
        table = table.reshape(rows, width + 1)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise TrainingError(f"golden rows are malformed: {error}") from error
    if rows < 1 or width != len(FEATURES):
        raise TrainingError(f"golden rows: {rows} rows of {width} features, expected {len(FEATURES)} features")
    return table[:, :-1], table[:, -1]
