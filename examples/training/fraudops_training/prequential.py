"""Validation in the order of time: settings are chosen on weeks before the training week, never on the test week."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from .algorithms import Algorithm, Setting
from .dataset import Transactions, together
from .errors import TrainingError
from .metrics import Evaluation, evaluate
from .progress import follow
from .split import Protocol, Split, split

Settings = dict[str, Setting]


@dataclass(frozen=True)
class Trial:
    """One combination of settings, measured on every fold."""

    settings: Settings
    folds: tuple[Evaluation, ...]
    scores: tuple[np.ndarray, ...]

    @property
    def ap(self) -> float:
        """Mean average precision: what is chosen by."""
        return float(np.mean([fold.ap for fold in self.folds]))

    def as_dict(self) -> dict:
        """Mean and standard deviation over the folds."""
        names = ("auc", "ap", "card_precision")
        values = {name: [getattr(fold, name) for fold in self.folds] for name in names}
        return {
            "settings": self.settings,
            **{name: {"mean": float(np.mean(v)), "sd": float(np.std(v))} for name, v in values.items()},
        }


@dataclass(frozen=True)
class Tuning:
    """All trials on the same folds."""

    trials: tuple[Trial, ...]
    parts: tuple[Split, ...]

    @property
    def best(self) -> Trial:
        """The highest mean average precision; the first of equals."""
        return max(self.trials, key=lambda trial: trial.ap)

    def held_out(self) -> tuple[Transactions, np.ndarray]:
        """Labelled rows of all folds with the scores of the best settings, none of them trained on."""
        return together([part.test for part in self.parts]), np.concatenate(self.best.scores)

    def as_dict(self) -> dict:
        """For the report, best first."""
        ordered = sorted(self.trials, key=lambda trial: -trial.ap)
        return {"folds": len(self.parts), "trials": [trial.as_dict() for trial in ordered]}


def earlier_folds(protocol: Protocol, folds: int) -> list[Protocol]:
    """Folds whose last day of test lies before the training week, newest first, each a week further back."""
    newest = protocol.train_start - dt.timedelta(days=protocol.delay_days + protocol.test_days)
    return _weeks(protocol, newest, range(0, -folds, -1))


def later_folds(protocol: Protocol, folds: int) -> list[Protocol]:
    """Folds from the protocol's own week on, each a week later."""
    return _weeks(protocol, protocol.train_start, range(folds))


def combinations(grid: dict[str, Sequence[Setting]]) -> list[Settings]:
    """Every combination of the values; one empty one for an empty grid."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def tune(rows: Transactions, algorithm: Algorithm, base: Settings, grid: dict, protocols: list[Protocol]) -> Tuning:
    """Fits every combination on every fold. The same rows and grid give the same trials."""
    from . import model

    if not protocols:
        raise TrainingError("validation needs at least one fold")
    parts = tuple(_fold(rows, protocol) for protocol in protocols)
    candidates = [base | changed for changed in combinations(grid)]
    work = [(settings, part) for settings in candidates for part in parts]
    scores = [
        model.probability(model.fit(part.train, algorithm.name, settings), part.test.features)
        for settings, part in follow(work, f"validation of {algorithm.name}")
    ]
    trials = []
    for number, settings in enumerate(candidates):
        own = tuple(scores[number * len(parts) : (number + 1) * len(parts)])
        measured = tuple(evaluate(part.test, score) for part, score in zip(parts, own, strict=True))
        trials.append(Trial(settings, measured, own))
    return Tuning(tuple(trials), parts)


def _fold(rows: Transactions, protocol: Protocol) -> Split:
    try:
        return split(rows, protocol)
    except TrainingError as error:
        raise TrainingError(
            f"the validation fold that begins on {protocol.train_start}: {error}; or fewer folds"
        ) from error


def _weeks(protocol: Protocol, first: dt.date, steps: range) -> list[Protocol]:
    starts = [first + dt.timedelta(days=protocol.test_days * step) for step in steps]
    return [replace(protocol, train_start=start) for start in starts]
