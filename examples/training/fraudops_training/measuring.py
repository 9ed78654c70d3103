"""What stands before and after training, one function for each command. Heavy imports wait until they are needed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import TrainingError
from .progress import say

if TYPE_CHECKING:
    import numpy as np

    from .split import Split

DEFAULT_THRESHOLDS = {"review": 0.1, "block": 0.5}


def simulate(arguments: argparse.Namespace) -> None:
    """Calls the simulator."""
    from .cli_measuring import SIMULATED
    from .programs import simulate as run

    options = {name: getattr(arguments, name) for name, _, _ in SIMULATED}
    run(arguments.out, options, arguments.simulator)
    say(f"{arguments.out}: {arguments.out.stat().st_size:,} bytes")


def evaluate(arguments: argparse.Namespace) -> None:
    """Prints measures, and writes them."""
    from .files import write_all
    from .measures import measure

    scorer, values, parts = _read(arguments)
    thresholds = values.get("thresholds", DEFAULT_THRESHOLDS)
    thresholds = {
        name: own if (own := getattr(arguments, name)) is not None else thresholds[name] for name in DEFAULT_THRESHOLDS
    }
    if thresholds["review"] > thresholds["block"]:
        raise TrainingError(f"--review {thresholds['review']} is above --block {thresholds['block']}")
    measures = measure(parts.test, scorer(parts.test.features), thresholds)
    if arguments.json:
        content = (json.dumps(measures, indent=2) + "\n").encode()
        write_all(arguments.json.parent, {arguments.json.name: content}, "--json")
    print(table(measures))


def pick(arguments: argparse.Namespace) -> None:
    """Prints thresholds as JSON."""
    from . import thresholds

    rates = (arguments.review_rate, arguments.block_rate)
    costs = (arguments.review_cost, arguments.false_block_cost)
    if (None in rates) == (None in costs) or any(value is not None for value in (rates if None in rates else costs)):
        raise TrainingError("give --review-rate and --block-rate, or --review-cost and --false-block-cost")
    scorer, _, parts = _read(arguments)
    if None not in rates:
        chosen = thresholds.by_rate(scorer(parts.delay.features), *rates)
    else:
        if min(costs) < 0:
            raise TrainingError(
                f"{'--review-cost' if costs[0] < 0 else '--false-block-cost'} {min(costs):g} is below 0"
            )
        chosen, cost = thresholds.by_cost(parts.test, scorer(parts.test.features), thresholds.Cost(*costs))
        say(f"costs {cost:.4f} for each transaction")
    print(json.dumps(chosen))


def card(arguments: argparse.Namespace) -> None:
    """Writes a card with plots."""
    from . import card as cards
    from .files import write_all
    from .measures import measure
    from .plots import draw

    if arguments.model.suffix != ".onnx":
        raise TrainingError(f"{arguments.model}: a card is of an .onnx, which says what it is")
    scorer, values, parts = _read(arguments)
    score = scorer(parts.test.features)
    measures = measure(parts.test, score, values["thresholds"])
    pictures = {f"plots/{name}": data for name, data in draw(parts.test, score, measures).items()}
    # The card says on what was measured now, which may be another week than when the file was made.
    train, delay, test = _protocol(arguments).periods()
    values["metrics"]["split"] = f"train {train}, delay {delay}, test {test}"
    text = cards.render(values, measures, pictures=tuple(pictures))
    write_all(arguments.out, {**pictures, "card.md": text.encode()})
    print(arguments.out / "card.md")


def pipeline(arguments: argparse.Namespace) -> None:
    """Runs a YAML file from the data to the run folder."""
    from .config import read
    from .pipeline import run

    print(run(read(arguments.config), arguments.out))


def reproduce(arguments: argparse.Namespace) -> None:
    """Writes the page that holds our figures against the handbook's."""
    from .files import write_all
    from .programs import find
    from .reproduce import reproduce as run
    from .science_page import render

    simulator = find("fraudops-simulator", arguments.simulator, "--simulator")
    page = render(run(range(arguments.seeds), simulator))
    write_all(arguments.page.parent, {arguments.page.name: page.encode()}, "--page")
    print(arguments.page)


def catalogue(arguments: argparse.Namespace) -> None:
    """Writes the models, the sample that they are measured on, and their page."""
    from .catalogue_files import make

    make(arguments.out, arguments.simulator)
    print(arguments.out)


def notebooks(arguments: argparse.Namespace) -> None:
    """Executes notebooks, and renders them when a folder is given."""
    from .notebooks import run

    run(arguments.folder, arguments.names, arguments.html)


def table(measures: dict) -> str:
    """Measures for people."""
    calibration = measures["calibration"]
    low, high = measures["apInterval"]
    lines = [
        f"{measures['rows']:,} rows, {measures['frauds']:,} frauds",
        f"AUC {measures['auc']:.3f}, AP {measures['ap']:.3f} ({low:.3f} to {high:.3f}), "
        f"card precision@100 {measures['cp100']:.3f} of {measures['cp100Ceiling']:.3f}",
        f"calibration: {calibration['expected']:.1f} frauds expected, {calibration['observed']} observed, "
        f"Brier score {calibration['brier']:.5f}",
    ]
    for name, made in measures["decisions"].items():
        scenarios = ", ".join(f"{code} {share:.2f}" for code, share in made["recallByScenario"].items())
        lines.append(
            f"{name} at {made['threshold']:g}: {made['alertRate']:.2%} of the rows, precision {made['precision']:.2f}, "
            f"recall {made['recall']:.2f}" + (f" (by scenario: {scenarios})" if scenarios else "")
        )
    return "\n".join(lines)


def _read(arguments: argparse.Namespace) -> tuple[Callable[[np.ndarray], np.ndarray], dict, Split]:
    """What scores rows, what the file says about itself (nothing, for a native form), and the periods."""
    from .dataset import read_transactions
    from .split import split

    scorer, values = _scorer(arguments.model)
    return scorer, values, split(read_transactions(arguments.data), _protocol(arguments))


def _scorer(path: Path) -> tuple[Callable[[np.ndarray], np.ndarray], dict]:
    if path.suffix == ".onnx":
        from .inspect import read

        scorer, values = read(path)
        return scorer.probability, values
    from . import model

    fitted = model.load(path)
    return lambda rows: model.probability(fitted, rows), {}


def _protocol(arguments: argparse.Namespace) -> object:
    from .split import Protocol

    return Protocol(arguments.train_start, arguments.train_days, arguments.delay_days, arguments.test_days)
