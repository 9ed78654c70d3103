"""The command line of what stands before and after training: data, measures, the whole pipeline."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import measuring
from .arguments import add_command, add_split, date, positive, rate, threshold

SIMULATED = (
    ("customers", positive, "5000"),
    ("terminals", positive, "10000"),
    ("days", positive, "183"),
    ("start", date, "2018-04-01"),
    ("radius", float, "5"),
    ("seed", int, "0"),
    ("threads", int, "all cores"),
)
"""Options of the simulator that are passed on, with its own defaults for the help."""


def add_simulate(actions: argparse._SubParsersAction) -> None:
    """`simulate`."""
    made = add_command(
        actions,
        "simulate",
        measuring.simulate,
        "make transactions with fraudops-simulator",
        "Half a year of transactions with the 15 features. The same seed gives the same rows.",
    )
    made.add_argument("--out", type=Path, required=True, metavar="FILE", help=".parquet or .csv")
    for name, kind, default in SIMULATED:
        made.add_argument(f"--{name}", type=kind, metavar="N", help=f"[{default}]")
    _simulator(made)


def add_measuring(actions: argparse._SubParsersAction) -> None:
    """`evaluate`, `threshold` and `card`."""
    made = add_command(
        actions,
        "evaluate",
        measuring.evaluate,
        "measure a model on the test period",
        "Ranking, decisions at the thresholds, recall by fraud scenario, calibration.",
    )
    _model(made)
    made.add_argument("--review", type=threshold, metavar="X", help="[the model's own, or 0.1]")
    made.add_argument("--block", type=threshold, metavar="X", help="[the model's own, or 0.5]")
    made.add_argument("--json", type=Path, metavar="FILE", help="all measures, as JSON")

    made = add_command(
        actions,
        "threshold",
        measuring.pick,
        "pick the thresholds for a wanted rate or cost",
        "By rate: at most these shares of the delay week are alerts and are blocked. No labels are needed, so cards\n"
        "whose fraud gets known meanwhile are among them; `pipeline` leaves them out, on weeks before the training.\n"
        "By cost: the least sum on the test week, in the currency of the amounts; an approved fraud costs its amount.\n"
        'Prints {"review": …, "block": …} for spec.decision, or for --review and --block.',
    )
    _model(made)
    made.add_argument("--review-rate", type=rate, metavar="X", help="share of the transactions that are alerts")
    made.add_argument("--block-rate", type=rate, metavar="X", help="share of the transactions that are blocked")
    made.add_argument("--review-cost", type=float, metavar="X", help="what a review costs")
    made.add_argument("--false-block-cost", type=float, metavar="X", help="what it costs to block a genuine one")

    made = add_command(
        actions,
        "card",
        measuring.card,
        "write the model card, with plots",
        "Reads what the .onnx says about itself, measures it on the test period, writes Markdown and PNG.",
    )
    _model(made)
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of card.md and plots/")


def add_pipeline(actions: argparse._SubParsersAction) -> None:
    """`pipeline`."""
    made = add_command(
        actions,
        "pipeline",
        measuring.pipeline,
        "do all of it, from one YAML file",
        "Simulates, validates, fits, picks thresholds, exports, proves, describes, and pushes if a registry is named.\n"
        "Writes a run folder for MLflow: mlflow migrate-filestore --source DIR --target sqlite:///FILE imports it.",
    )
    made.add_argument("config", type=Path, metavar="CONFIG", help="YAML; examples/training/pipeline.yaml explains it")
    made.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs [%(default)s]")


def add_research(actions: argparse._SubParsersAction) -> None:
    """`reproduce`, `catalogue` and `notebooks`."""
    made = add_command(
        actions,
        "reproduce",
        measuring.reproduce,
        "hold our figures against the handbook's",
        "Simulates a data set for each seed, runs the handbook's experiments on it, writes the page of the tables.",
    )
    made.add_argument("--page", type=Path, required=True, metavar="FILE", help="the page, Markdown")
    made.add_argument("--seeds", type=positive, default=6, metavar="N", help="data sets: seeds 0 to N-1 [%(default)s]")
    _simulator(made)

    made = add_command(
        actions,
        "catalogue",
        measuring.catalogue,
        "make good and bad candidates for a rollout",
        "Trains the models of examples/models, makes every mistake on purpose, measures them, writes their page.",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the models")
    _simulator(made)

    made = add_command(
        actions,
        "notebooks",
        measuring.notebooks,
        "execute the notebooks, and render them",
        "Runs each from top to bottom in a kernel of its own; a claim that is no longer true fails it.\n"
        "$FRAUDOPS_NOTEBOOKS_DATA is small (the default), full, or a file with features.",
    )
    made.add_argument("names", nargs="*", metavar="NAME", help="03, or 03_models [all of the folder]")
    made.add_argument("--folder", type=Path, default=Path("notebooks"), metavar="DIR", help="[%(default)s]")
    made.add_argument("--html", type=Path, metavar="DIR", help="write a page of each, with its outputs, to this folder")


def _simulator(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--simulator", type=Path, metavar="PROGRAM", help="fraudops-simulator [$FRAUDOPS_SIMULATOR, or on PATH]"
    )


def _model(made: argparse.ArgumentParser) -> None:
    made.add_argument("model", type=Path, metavar="MODEL", help=".onnx, .ubj or .joblib")
    add_split(made)
