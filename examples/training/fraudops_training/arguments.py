"""Options that `train` and `export` share, and how their values are read."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from pathlib import Path

from .algorithms import ALGORITHMS, DEFAULT, SHORT, flag

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def add_command(
    actions: argparse._SubParsersAction, name: str, run: object, brief: str, text: str
) -> argparse.ArgumentParser:
    """A command of the program, with what it runs."""
    made = actions.add_parser(
        name,
        help=brief,
        description=f"{brief[0].upper()}{brief[1:]}.\n\n{text}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=run)
    return made


def add_split(command: argparse.ArgumentParser) -> None:
    """Where the rows come from, and which of them are for what."""
    group = command.add_argument_group("data")
    group.add_argument("--data", type=Path, required=True, help="transactions with features, .parquet or .csv")
    group.add_argument(
        "--train-from",
        "--train-start",
        dest="train_start",
        type=date,
        default=dt.date(2018, 7, 25),
        metavar="YYYY-MM-DD",
        help="first day of training [%(default)s]; a week of training, a week until labels are known, a week of test",
    )
    for flags, text in (
        (("--days", "--train-days"), "days of training"),
        (("--delay", "--delay-days"), "days until a label is known"),
        (("--test-days",), "days of the test"),
    ):
        group.add_argument(*flags, dest=f"{flags[-1][2:]}".replace("-", "_"), type=positive, default=7, metavar="N",
                           help=f"{text} [%(default)s]")  # fmt: skip


def add_algorithm(command: argparse.ArgumentParser) -> None:
    """What is fitted. An option that the chosen kind does not have is refused later, by name."""
    group = command.add_argument_group("model", "Defaults depend on the algorithm; --leaves is LightGBM's depth.")
    group.add_argument(
        "--model",
        "--algorithm",
        dest="algorithm",
        choices=(*SHORT, *ALGORITHMS),
        default=DEFAULT,
        metavar="KIND",
        help=f"{', '.join(SHORT)}, or a long name: {', '.join(ALGORITHMS)} [%(default)s]",
    )
    for name, text in (
        ("trees", "number of trees"),
        ("depth", "depth of each tree"),
        ("leaves", "leaves of each tree"),
    ):
        group.add_argument(f"--{name}", type=positive, metavar="N", help=f"{text} {_defaults(name)}")
    for name, text in (
        ("positive_weight", "weight of a fraud in training"),
        ("inverse_regularization", "C of scikit-learn"),
    ):
        group.add_argument(flag(name), type=above_zero, metavar="X", help=f"{text} {_defaults(name)}")
    group.add_argument("--learning-rate", type=rate, metavar="X", help=f"shrinkage {_defaults('learning_rate')}")
    group.add_argument(
        "--hidden", type=layers, metavar="N[,N…]", help=f"units of each hidden layer {_defaults('hidden')}"
    )


def add_tuning(command: argparse.ArgumentParser) -> None:
    """Whether settings are chosen on earlier weeks."""
    group = command.add_argument_group("validation")
    group.add_argument(
        "--tune",
        action="store_true",
        help="choose settings from the kind's grid by average precision on the weeks before the training",
    )
    group.add_argument("--folds", type=positive, default=4, metavar="N", help="weeks to validate on [%(default)s]")


def _defaults(option: str) -> str:
    """Which algorithms have the option, with its default in each."""
    having = [(kind.name, kind.defaults[option]) for kind in ALGORITHMS.values() if option in kind.defaults]
    values = [",".join(map(str, value)) if isinstance(value, tuple) else str(value) for _, value in having]
    return "[" + ", ".join(f"{name} {value}" for (name, _), value in zip(having, values, strict=True)) + "]"


def add_publication(command: argparse.ArgumentParser) -> None:
    """What the model is called, and where it goes."""
    group = command.add_argument_group("publication")
    group.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the written files")
    group.add_argument("--name", type=name, default="card-fraud", help="[%(default)s]")
    group.add_argument("--version", type=version, required=True, help="what people call it, e.g. 2026.11.1")
    group.add_argument("--review", type=threshold, default=0.1, help="score from which people look [%(default)s]")
    group.add_argument("--block", type=threshold, default=0.5, help="score from which it is refused [%(default)s]")
    group.add_argument("--licence", default="Apache-2.0", help="SPDX expression [%(default)s]")
    group.add_argument(
        "--created-at",
        type=instant,
        metavar="TIME",
        help="ISO 8601 time in the metadata [now], for a repeatable file",
    )
    group.add_argument("--git-revision", metavar="SHA", help="source revision in the metadata [none]")
    group.add_argument(
        "--parity-rows",
        type=positive,
        default=10_000,
        metavar="N",
        help="fewest rows to compare on [%(default)s]",
    )
    group.add_argument(
        "--scorer", type=Path, metavar="PROGRAM", help="fraudops-scorer, to ask whether it would serve the file [none]"
    )
    group.add_argument("--overwrite", action="store_true", help="replace files of the same version")


def threshold(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def positive(text: str) -> int:
    """A whole number from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def above_zero(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def rate(text: str) -> float:
    """A number above 0, at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def layers(text: str) -> tuple[int, ...]:
    """Units of each hidden layer, such as `64,64`."""
    return tuple(positive(part) for part in text.split(","))


def date(text: str) -> dt.date:
    """YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date (YYYY-MM-DD)") from None


def instant(text: str) -> dt.datetime:
    """ISO 8601; without an offset it is UTC."""
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an ISO 8601 time") from None
    return value.replace(tzinfo=value.tzinfo or dt.UTC).astimezone(dt.UTC)


def name(text: str) -> str:
    """A name that Kubernetes takes as well."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: use lower-case letters, digits and '-', at most 63")
    return text


def version(text: str) -> str:
    """A version that fits a Kubernetes label and an OCI tag."""
    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: use letters, digits, '.', '_' and '-', at most 63")
    return text
