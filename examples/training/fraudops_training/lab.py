"""What the notebooks stand on: their transactions, and claims that have to hold when a notebook is run."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .dataset import Transactions, read_transactions
from .errors import TrainingError
from .programs import find, simulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA = "FRAUDOPS_NOTEBOOKS_DATA"
CACHE = "FRAUDOPS_NOTEBOOKS_CACHE"

WORLDS: dict[str, dict[str, object]] = {
    "small": {"seed": 0, "start": "2018-05-28", "days": 100},
    "full": {"seed": 0},
}
"""Options of the simulator. The small world is as dense as the full one and shorter: figures stay comparable."""


def data_file() -> Path:
    """The Parquet file that the notebooks read; simulated once for each simulator, and kept.

    Not guaranteed: that claims hold on a file of your own. They are of the simulator's world.
    """
    asked = os.environ.get(DATA) or "small"
    if asked not in WORLDS:
        if not asked.endswith(".parquet"):
            raise TrainingError(f"{DATA}={asked}: expected {', '.join(WORLDS)}, or a .parquet file with features")
        if not Path(asked).is_file():
            raise TrainingError(f"{DATA}={asked}: no such file")
        return Path(asked)
    simulator = find("fraudops-simulator", None, "the program")
    made_by = hashlib.sha256(simulator.read_bytes() + repr(WORLDS[asked]).encode()).hexdigest()[:12]
    folder = cache_folder()
    file = folder / f"{asked}-{made_by}.parquet"
    if not file.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.glob(f"{asked}-*.parquet"):
                old.unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(f"{CACHE} {folder}: {error.strerror}") from error
        simulate(file, WORLDS[asked], simulator)
    return file


def cache_folder() -> Path:
    """Where simulated transactions are kept."""
    given = os.environ.get(CACHE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else base / "fraudops" / "notebooks"


def transactions() -> Transactions:
    """The rows of `data_file`."""
    return read_transactions(data_file())


def claim(
    what: str, value: float, low: float = -math.inf, high: float = math.inf, *, noted: float | str | None = None
) -> float:
    """Says a figure with its bounds, and ends the notebook when it lies outside them.

    `noted` is the same figure as somebody else found it, for the reader; it is not compared.
    """
    bounds = " and ".join(
        f"{word} {_short(bound)}" for word, bound in (("at least", low), ("at most", high)) if math.isfinite(bound)
    )
    beside = "" if noted is None else f"; noted: {noted if isinstance(noted, str) else _short(noted)}"
    if not low <= value <= high:
        raise AssertionError(f"{what} is {_short(value)}, and the notebook says {bounds}")
    print(f"holds: {what} is {_short(value)} ({bounds}{beside})")
    return float(value)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Shows a table; numbers with three digits."""
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    learned("\n".join("| " + " | ".join(line) + " |" for line in lines))


def learned(text: str) -> None:
    """Shows Markdown whose figures were computed above."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def axes(title: str, x: str, y: str, *, wide: bool = False) -> Axes:
    """An empty plot; both axes have a title with its unit."""
    from matplotlib import pyplot as plt

    _, made = plt.subplots(figsize=(9 if wide else 6, 4), layout="constrained")
    made.set(title=title, xlabel=x, ylabel=y)
    return made


def _cell(value: object) -> str:
    return _short(value) if isinstance(value, float | int) else str(value)


def _short(value: float) -> str:
    if isinstance(value, int) or (abs(value) >= 1000 and math.isfinite(value)):
        return f"{value:,.0f}"
    return f"{value:.3g}"
