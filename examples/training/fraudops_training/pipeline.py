"""From a configuration to a run folder: every step of the other commands, one after the other."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path

from . import model, prequential, publish, thresholds
from .commands import trainer
from .config import Config
from .dataset import Transactions, read_transactions, sha256_of
from .measuring import table
from .metadata import Identity
from .plots import draw
from .programs import simulate
from .progress import say
from .run_folder import Run, write
from .split import split


def run(config: Config, out: Path) -> Path:
    """Runs everything and returns the run folder, which appears when all of it is done, or not at all.

    Not guaranteed: that a push is taken back when the run folder cannot be written after it.
    """
    started = dt.datetime.now(dt.UTC)
    clock = _Clock()
    rows, digest = _data(config)
    clock.tell(f"data: {len(rows):,} rows")

    protocols = prequential.earlier_folds(config.protocol, config.folds)
    tuning = prequential.tune(rows, config.algorithm, config.settings, config.grid, protocols)
    best = tuning.best
    clock.tell(f"validation on {config.folds} earlier weeks: AP {best.ap:.3f} with {best.settings}")

    limits = _thresholds(config, tuning)
    clock.tell(f"thresholds: review {limits['review']:g}, block {limits['block']:g}")

    parts = split(rows, config.protocol)
    fitted = model.fit(parts.train, config.algorithm.name, best.settings)
    clock.tell(f"fitted on {len(parts.train):,} rows")

    request = _request(config, best.settings, limits, digest, started)
    made = publish.assemble(fitted, parts, request)
    clock.tell(f"exported: largest difference {made.parity.max_difference:.1e} on {made.parity.rows:,} rows")

    pictures = draw(made.test, made.test_score, made.measures, tuning.as_dict())
    uri = _push(config, made)
    folder = write(
        out,
        Run(config.name, config.version, started, config.text, best.settings, made, tuning.as_dict(), pictures, uri),
    )
    clock.tell("written")
    say(table(made.measures))
    return folder


class _Clock:
    """Says what is done, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def tell(self, message: str) -> None:
        say(f"[{time.monotonic() - self._start:6.1f} s] {message}")


def _data(config: Config) -> tuple[Transactions, str]:
    if "file" in config.data:
        path = config.folder / config.data["file"]
        return read_transactions(path), sha256_of(path)
    program = config.data.get("simulator")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transactions.parquet"
        simulate(path, config.data["simulate"] or {}, config.folder / program if program else None)
        return read_transactions(path), sha256_of(path)


def _thresholds(config: Config, tuning: prequential.Tuning) -> dict[str, float]:
    """Picked on weeks that are over and labelled, so the test week stays untouched."""
    given = config.thresholds
    if "review" in given:
        return {"review": float(given["review"]), "block": float(given["block"])}
    rows, score = tuning.held_out()
    if "reviewRate" in given:
        return thresholds.by_rate(score, given["reviewRate"], given["blockRate"])
    return thresholds.by_cost(rows, score, thresholds.Cost(given["reviewCost"], given["falseBlockCost"]))[0]


def _request(config: Config, settings: dict, limits: dict, digest: str, started: dt.datetime) -> publish.Request:
    identity = Identity(
        name=config.name,
        version=config.version,
        created_at=config.created_at or started,
        algorithm=config.algorithm.describe(settings),
        trainer=trainer(config.algorithm.name),
        git=None,
        licence=config.licence,
    )
    return publish.Request(
        out=config.folder,
        identity=identity,
        protocol=config.protocol,
        thresholds=limits,
        data_sha256=digest,
        min_parity_rows=config.parity_rows,
        scorer=config.scorer,
    )


def _push(config: Config, made: publish.Assembled) -> str | None:
    if config.push is None:
        return None
    from . import modelpack, registry

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{made.stem}.onnx"
        file.write_bytes(made.onnx)
        file.with_suffix(".md").write_bytes(made.card())
        artifact = modelpack.read_artifact(file, config.push["reference"], licence=config.licence)
        return registry.push(artifact, plain_http=config.push["plain_http"])
