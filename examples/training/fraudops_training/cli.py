"""The command line: arguments in, one message out. The work is in the other modules."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__, commands
from .arguments import add_algorithm, add_command, add_publication, add_split, add_tuning
from .cli_measuring import add_measuring, add_pipeline, add_research, add_simulate
from .errors import TrainingError

DESCRIPTION = """\
Train a fraud model, export it to ONNX, prove that the export scores the same, and push it to a registry.

A first model, from nothing:
  fraudops-training simulate --out transactions.parquet
  fraudops-training train --data transactions.parquet --name card-fraud --version 2026.11.1 --out models
  fraudops-training evaluate models/card-fraud-2026.11.1.onnx --data transactions.parquet
  fraudops-training check models/card-fraud-2026.11.1.onnx
  fraudops-training push models/card-fraud-2026.11.1.onnx registry.example/fraud/card:2026.11.1
The last command prints the uri for spec.model.uri of a FraudModel. `pipeline` does all of it from one YAML file.
"""


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(
        prog="fraudops-training",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=__version__)
    actions = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_simulate(actions)
    _train(actions)
    add_measuring(actions)
    _export(actions)
    _check(actions)
    _predict(actions)
    _push(actions)
    add_pipeline(actions)
    add_research(actions)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Exit code 0 done, 1 refused with a message, 2 wrong arguments."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(
            f"error: {error.name} is not installed; `{arguments.command}` needs the training stack: "
            "pip install 'fraudops-training[train]'",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:
        # Who reads the standard output has enough, as `head` has; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _train(actions: argparse._SubParsersAction) -> None:
    command = add_command(
        actions,
        "train",
        commands.train,
        "fit a model and publish it as ONNX",
        "Fits on the train period, measures on the test period, exports, compares, writes.\n"
        "Writes NAME-VERSION.onnx, .ubj or .joblib (native), .md (model card) and .report.json to --out, or nothing.",
    )
    add_split(command)
    add_publication(command)
    add_algorithm(command)
    add_tuning(command)


def _export(actions: argparse._SubParsersAction) -> None:
    command = add_command(
        actions,
        "export",
        commands.export,
        "publish a model that was fitted elsewhere",
        "Like train, without the fit: profiles, measures, exports, compares, writes.\n"
        "A .joblib runs code when it is read: only files whose origin you know.",
    )
    command.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help=".ubj or .json (XGBoost), .joblib (LightGBM, scikit-learn)",
    )
    add_split(command)
    add_publication(command)


def _check(actions: argparse._SubParsersAction) -> None:
    command = add_command(
        actions,
        "check",
        commands.check,
        "say what an ONNX file is, or why a scorer would refuse it",
        "Reads the metadata, checks inputs, outputs and feature order, and replays the golden rows.",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the .onnx")


def _predict(actions: argparse._SubParsersAction) -> None:
    command = add_command(
        actions,
        "predict",
        commands.predict,
        "score transactions with ONNX Runtime",
        "Reads one request body of POST /predict, or a list of them, and prints a JSON list of probabilities.",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the .onnx")
    command.add_argument(
        "transactions", type=Path, metavar="TRANSACTIONS", help="JSON file: one object, or a list of objects"
    )


def _push(actions: argparse._SubParsersAction) -> None:
    command = add_command(
        actions,
        "push",
        commands.push,
        "push a model to an OCI registry as a CNCF ModelPack artifact",
        "Pushes the .onnx as a raw weight layer, so that the layer's digest is the sha256 of the file, and the\n"
        "model card (the .md beside it, where there is one) as a documentation layer.\n"
        "Prints the digest-pinned uri for spec.model.uri on stdout, everything else on stderr.\n"
        "Credentials come from the Docker configuration (~/.docker/config.json, or $DOCKER_CONFIG/config.json).",
    )
    command.add_argument("file", type=Path, metavar="FILE", help="the .onnx")
    command.add_argument("reference", metavar="REFERENCE", help="[oci://]host[:port]/repository:tag")
    command.add_argument("--name", help="name in the artifact [last part of the repository]")
    command.add_argument("--model-version", help="version in the artifact [the tag]")
    command.add_argument("--card", type=Path, help="model card, Markdown [FILE with the extension .md]")
    command.add_argument("--licence", default="Apache-2.0", help="SPDX expression [%(default)s]")
    command.add_argument(
        "--patch",
        action="store_true",
        help="print what changes in a FraudModel instead of the uri: version, uri, sha256 and its thresholds",
    )
    command.add_argument("--plain-http", action="store_true", help="talk HTTP, for a registry of your own")
