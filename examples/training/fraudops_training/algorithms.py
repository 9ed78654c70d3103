"""The kinds of model that can be trained, with their options. No heavy import: the command line reads this."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import TrainingError

Setting = int | float | tuple[int, ...]


@dataclass(frozen=True)
class Algorithm:
    """A kind of model: its name, and the options that it has, with their defaults."""

    name: str
    defaults: dict[str, Setting]
    shape: tuple[str, ...] = ()
    """The options that make its size; they are part of the description."""

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
        Algorithm("xgboost", {"trees": 100, "depth": 3, "learning_rate": 0.1}, ("trees", "depth")),
        Algorithm("lightgbm", {"trees": 100, "leaves": 7, "learning_rate": 0.05}, ("trees", "leaves")),
        Algorithm("random-forest", {"trees": 10, "depth": 10}, ("trees", "depth")),
        Algorithm("logistic-regression", {}),
        Algorithm("mlp", {"hidden": (64,)}, ("hidden",)),
        Algorithm("decision-tree", {"depth": 5}, ("depth",)),
    )
}
