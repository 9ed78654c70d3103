"""The kinds of model that can be trained, with their options. No heavy import: the command line reads this."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import TrainingError

Setting = int | float | tuple[int, ...]


@dataclass(frozen=True)
class Algorithm:
    """A kind of model: its name, and the options that it has, with their defaults."""

    name: str
    short: str
    defaults: dict[str, Setting]
    shape: tuple[str, ...] = ()
    """The options that make its size; they are part of the description."""
    grid: dict[str, tuple[Setting, ...]] = field(default_factory=dict)
    """Values that `tune` tries, all combinations of them; small, because each is fitted once for each fold."""

    def settle(self, given: dict[str, Setting | None]) -> dict[str, Setting]:
        """The options with their defaults; one that this kind does not have is refused."""
        chosen = {name: value for name, value in given.items() if value is not None}
        strange = [flag(name) for name in chosen if name not in self.defaults]
        if strange:
            own = ", ".join(flag(name) for name in self.defaults) or "none"
            raise TrainingError(f"{', '.join(strange)} has no effect on {self.name}; its options are: {own}")
        return self.defaults | chosen

    def describe(self, settings: dict[str, Setting]) -> str:
        """One word for people: `xgboost-100x3`."""
        sizes = [settings[name] for name in self.shape]
        words = ["-".join(map(str, size)) if isinstance(size, tuple) else str(size) for size in sizes]
        return "-".join([self.name, "x".join(words)]) if words else self.name


def flag(name: str) -> str:
    """`learning_rate` as it is written on the command line."""
    return "--" + name.replace("_", "-")


DEFAULT = "xgboost"

ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "xgboost",
            "xgb",
            {"trees": 100, "depth": 3, "learning_rate": 0.1, "positive_weight": 1.0},
            ("trees", "depth"),
            {"trees": (50, 100), "depth": (3, 5)},
        ),
        Algorithm(
            "lightgbm",
            "lgbm",
            {"trees": 100, "leaves": 7, "learning_rate": 0.05},
            ("trees", "leaves"),
            {"trees": (50, 100), "leaves": (7, 15)},
        ),
        Algorithm("random-forest", "rf", {"trees": 10, "depth": 10}, ("trees", "depth"), {"depth": (5, 10, 20)}),
        Algorithm(
            "logistic-regression",
            "lr",
            {"inverse_regularization": 1.0},
            (),
            {"inverse_regularization": (0.1, 1.0, 10.0)},
        ),
        Algorithm("mlp", "mlp", {"hidden": (64,)}, ("hidden",), {"hidden": ((32,), (64,))}),
        Algorithm("decision-tree", "dt", {"depth": 5}, ("depth",), {"depth": (2, 3, 5, 7)}),
    )
}

SHORT = {algorithm.short: name for name, algorithm in ALGORITHMS.items()}

OPTIONS = tuple(dict.fromkeys(option for algorithm in ALGORITHMS.values() for option in algorithm.defaults))
"""Every option of any kind."""


def named(text: str) -> Algorithm:
    """A kind of model by its name or its short name."""
    name = SHORT.get(text, text)
    if name not in ALGORITHMS:
        raise TrainingError(f"{text!r} is no kind of model: {', '.join((*SHORT, *ALGORITHMS))}")
    return ALGORITHMS[name]
