"""One function for each command. Heavy imports wait until they are needed: `push` runs without them."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from . import __version__
from .algorithms import OPTIONS, named
from .errors import TrainingError
from .progress import say

if TYPE_CHECKING:
    from .patch import Patch


def train(arguments: argparse.Namespace) -> None:
    """Fits and publishes."""
    from . import model, prequential
    from .publish import refuse_taken_names
    from .split import split

    algorithm = named(arguments.algorithm)
    given = {name: getattr(arguments, name) for name in OPTIONS}
    settings = algorithm.settle(given)
    rows, request = _prepare(arguments, algorithm.name, algorithm.describe(settings))
    refuse_taken_names(request)
    tuning = None
    if arguments.tune:
        # What was given is not searched: the grid is for the rest.
        grid = {name: values for name, values in algorithm.grid.items() if given[name] is None}
        protocols = prequential.earlier_folds(request.protocol, arguments.folds)
        trials = prequential.tune(rows, algorithm, settings, grid, protocols)
        settings, tuning = trials.best.settings, trials.as_dict()
        request = replace(request, identity=replace(request.identity, algorithm=algorithm.describe(settings)))
        say(f"best on {arguments.folds} earlier weeks: {settings}, AP {trials.best.ap:.3f}")
    fitted = model.fit(split(rows, request.protocol).train, algorithm.name, settings)
    _publish(fitted, rows, request, tuning)


def export(arguments: argparse.Namespace) -> None:
    """Publishes what was fitted elsewhere."""
    from . import model

    fitted = model.load(arguments.model)
    rows, request = _prepare(arguments, model.kind_of(fitted), model.describe(fitted))
    _publish(fitted, rows, request)


def check(arguments: argparse.Namespace) -> None:
    """Prints what a file is."""
    from . import inspect

    print(inspect.describe(arguments.file))


def predict(arguments: argparse.Namespace) -> None:
    """Prints the probabilities of transactions in a JSON file."""
    from .onnx_model import Scorer
    from .payload import read_payloads

    features = read_payloads(arguments.transactions)
    scores = Scorer(arguments.file).probability(features)
    print(json.dumps([float(score) for score in scores]))


def push(arguments: argparse.Namespace) -> None:
    """Pushes a file, and prints where to."""
    from . import modelpack, registry

    reference = modelpack.Reference.parse(arguments.reference)
    artifact = modelpack.read_artifact(
        arguments.file,
        reference,
        card=arguments.card,
        name=arguments.name,
        version=arguments.model_version,
        licence=arguments.licence,
    )
    patch = _patch(arguments) if arguments.patch else None
    print(f"pushing {artifact.size:,} bytes to {reference}", file=sys.stderr)
    uri = registry.push(artifact, plain_http=arguments.plain_http)
    print(patch.to(uri).rstrip() if patch else uri)


def _patch(arguments: argparse.Namespace) -> Patch:
    """Read before the push: a file that nobody can serve is not worth it. Needs more packages than a push does."""
    from .patch import Patch

    return Patch.of(arguments.file)


def _prepare(arguments: argparse.Namespace, kind: str, algorithm: str) -> tuple:
    """Reads the data and gathers the options; shared by `train` and `export`."""
    from .dataset import read_transactions, sha256_of
    from .metadata import Identity
    from .publish import Request
    from .split import Protocol

    if arguments.review > arguments.block:
        raise TrainingError(f"--review {arguments.review} is above --block {arguments.block}")
    rows = read_transactions(arguments.data)
    identity = Identity(
        name=arguments.name,
        version=arguments.version,
        created_at=arguments.created_at or dt.datetime.now(dt.UTC),
        algorithm=algorithm,
        trainer=trainer(kind),
        git=arguments.git_revision,
        licence=arguments.licence,
    )
    request = Request(
        out=arguments.out,
        identity=identity,
        protocol=Protocol(arguments.train_start, arguments.train_days, arguments.delay_days, arguments.test_days),
        thresholds={"review": arguments.review, "block": arguments.block},
        data_sha256=sha256_of(arguments.data),
        min_parity_rows=arguments.parity_rows,
        overwrite=arguments.overwrite,
        scorer=arguments.scorer,
    )
    return rows, request


def trainer(kind: str) -> str:
    """This program, with the versions of the libraries that decide what the file holds."""
    from importlib.metadata import version

    library, converter = {
        "xgboost": ("xgboost-cpu", "onnxmltools"),
        "lightgbm": ("lightgbm", "onnxmltools"),
    }.get(kind, ("scikit-learn", "skl2onnx"))
    words = f"{library.removesuffix('-cpu')} {version(library)}, {converter} {version(converter)}"
    return f"fraudops-training {__version__} ({words})"


def _publish(model: object, rows: object, request: object, tuning: dict | None = None) -> None:
    from .publish import publish

    done = publish(model, rows, request, tuning)
    print(summary(done, request.out / f"{request.stem}.onnx"))


def summary(made: object, file: object) -> str:
    """The numbers that people ask for first."""
    result = made.measures
    return (
        f"{file}\n  {len(made.onnx):,} bytes, sha256 {made.sha256}\n"
        f"  AUC {result['auc']:.3f}, AP {result['ap']:.3f}, "
        f"card precision@100 {result['cp100']:.3f} of {result['cp100Ceiling']:.3f}\n"
        f"  parity: {made.parity.max_difference:.1e} on {made.parity.rows:,} rows, no decision flips"
    )
