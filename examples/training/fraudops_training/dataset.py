"""Transactions read from Parquet or CSV, with their columns checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from .errors import TrainingError
from .schema import CUSTOMER, DATETIME, FEATURES, LABEL, SCENARIO

REQUIRED = (DATETIME, CUSTOMER, LABEL, *FEATURES)


@dataclass(frozen=True)
class Transactions:
    """Rows in columns. Every array has the same length; `day` is the calendar day in UTC."""

    features: np.ndarray
    label: np.ndarray
    customer: np.ndarray
    day: np.ndarray
    scenario: np.ndarray | None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.label)

    def at(self, rows: np.ndarray) -> Transactions:
        """The rows of a mask or of an index."""
        scenario = None if self.scenario is None else self.scenario[rows]
        return Transactions(self.features[rows], self.label[rows], self.customer[rows], self.day[rows], scenario)


def together(parts: Sequence[Transactions]) -> Transactions:
    """The rows of all parts, one after the other."""
    scenarios = [part.scenario for part in parts]
    return Transactions(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "label", "customer", "day")),
        None if any(scenario is None for scenario in scenarios) else np.concatenate(scenarios),
    )


def read_transactions(path: Path) -> Transactions:
    """Reads a file of `fraudops-simulator generate --features`, or one with the same columns.

    Features become float32 here, before anything is fitted: the scorer serves float32, so that is what the
    model has to be trained on.
    """
    return from_table(_read_table(path), path)


def from_table(table: pa.Table, path: Path) -> Transactions:
    """Checks the columns of a table and turns them into arrays; `path` is for the messages only."""
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        hint = ""
        if set(missing) <= set(FEATURES):
            hint = "; write the file with `fraudops-simulator generate --features`"
        raise TrainingError(f"{path}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}{hint}")
    if table.num_rows == 0:
        raise TrainingError(f"{path}: no rows")

    features = np.empty((table.num_rows, len(FEATURES)), dtype=np.float32)
    for column, name in enumerate(FEATURES):
        features[:, column] = _numbers(table, name, pa.float64(), path)
        if not np.isfinite(features[:, column]).all():
            row = int(np.flatnonzero(~np.isfinite(features[:, column]))[0])
            raise TrainingError(f"{path}: column {name} is not a finite number in row {row}")
    label = _numbers(table, LABEL, pa.int64(), path)
    strange = np.setdiff1d(np.unique(label), (0, 1))
    if strange.size:
        raise TrainingError(f"{path}: column {LABEL} must be 0 or 1, found {strange[0]}")
    scenario = _numbers(table, SCENARIO, pa.int64(), path) if SCENARIO in table.column_names else None
    return Transactions(features, label, _numbers(table, CUSTOMER, pa.int64(), path), _days(table, path), scenario)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_table(path: Path) -> pa.Table:
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    reader = readers.get(path.suffix)
    if reader is None:
        raise TrainingError(f"{path}: unknown extension {path.suffix!r}, use .parquet or .csv")
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise TrainingError(f"{path}: no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise TrainingError(f"{path}: {error}") from error


def _wanted(names: list[str]) -> list[str]:
    return [name for name in (*REQUIRED, SCENARIO) if name in names]


def _read_parquet(path: Path) -> pa.Table:
    with pa.parquet.ParquetFile(path) as file:
        return file.read(columns=_wanted(file.schema_arrow.names))


def _read_csv(path: Path) -> pa.Table:
    table = pa.csv.read_csv(path)
    return table.select(_wanted(table.column_names))


def _numbers(table: pa.Table, name: str, kind: pa.DataType, path: Path) -> np.ndarray:
    column = table[name]
    if column.null_count:
        raise TrainingError(f"{path}: column {name} has {column.null_count} empty values")
    try:
        return pc.cast(column, kind).to_numpy()
    except pa.ArrowException as error:
        raise TrainingError(f"{path}: column {name} is {column.type}, expected numbers") from error


def _days(table: pa.Table, path: Path) -> np.ndarray:
    column = table[DATETIME]
    if column.null_count:
        raise TrainingError(f"{path}: column {DATETIME} has {column.null_count} empty values")
    if not pa.types.is_timestamp(column.type):
        raise TrainingError(f"{path}: column {DATETIME} is {column.type}, expected a timestamp")
    return pc.cast(column, pa.timestamp("s"), safe=False).to_numpy().astype("datetime64[D]")
