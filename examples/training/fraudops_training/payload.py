"""Request bodies of `POST /predict` as a tensor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .errors import TrainingError
from .schema import FEATURES


def read_payloads(path: Path) -> np.ndarray:
    """Reads one object or a list of objects; fields that are no features are ignored."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise TrainingError(f"{path}: not JSON: {error}") from error
    bodies = content if isinstance(content, list) else [content]
    if not bodies:
        raise TrainingError(f"{path}: an empty list")
    return np.array([_row(body, f"{path}[{i}]") for i, body in enumerate(bodies)], dtype=np.float32)


def _row(body: object, where: str) -> list[float]:
    if not isinstance(body, dict):
        raise TrainingError(f"{where}: expected an object with the fields of a transaction")
    row = []
    for name in FEATURES:
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise TrainingError(f"{where}: field {name} must be a finite number, found {value!r}")
        row.append(float(value))
    return row
