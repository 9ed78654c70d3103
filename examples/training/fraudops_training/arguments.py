"""Options that `train` and `export` share, and how their values are read."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from pathlib import Path

from .algorithms import ALGORITHMS, DEFAULT

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def add_split(command: argparse.ArgumentParser) -> None:
    """Where the rows come from, and which of them are for what."""
    group = command.add_argument_group("data")
    group.add_argument("--data", type=Path, required=True, help="transactions with features, .parquet or .csv")
    group.add_argument(
        "--train-start",
        type=date,
        default=dt.date(2018, 7, 25),
        metavar="YYYY-MM-DD",
        help="first day of training [%(default)s]; a week of training, a week until labels are known, a week of test",
    )
    for name, days in (("train", 7), ("delay", 7), ("test", 7)):
        group.add_argument(f"--{name}-days", type=positive, default=days, metavar="N", help="[%(default)s]")


def add_algorithm(command: argparse.ArgumentParser) -> None:
    """What is fitted. An option that the chosen kind does not have is refused later, by name."""
    group = command.add_argument_group("model", "Defaults depend on the algorithm; --leaves is LightGBM's depth.")
    group.add_argument("--algorithm", choices=ALGORITHMS, default=DEFAULT, help="[%(default)s]")
    for name, text in (
        ("trees", "number of trees"),
        ("depth", "depth of each tree"),
        ("leaves", "leaves of each tree"),
    ):
        group.add_argument(f"--{name}", type=positive, metavar="N", help=f"{text} {_defaults(name)}")
    group.add_argument("--learning-rate", type=rate, metavar="X", help=f"shrinkage {_defaults('learning_rate')}")
    group.add_argument(
        "--hidden", type=layers, metavar="N[,N…]", help=f"units of each hidden layer {_defaults('hidden')}"
    )


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
