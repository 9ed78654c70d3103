"""Does the exported file score like the model it was made from?"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from .errors import TrainingError

TOLERANCE = 1e-5
MIN_ROWS = 10_000


@dataclass(frozen=True)
class Parity:
    """Largest difference, and decisions that changed at any of the thresholds."""

    rows: int
    max_difference: float
    flips: dict[str, int]
    tolerance: float = TOLERANCE

    @property
    def holds(self) -> bool:
        """True when the file may be published."""
        return self.max_difference <= self.tolerance and not any(self.flips.values())

    def as_dict(self) -> dict:
        """For the report."""
        return {**asdict(self), "holds": self.holds}


def compare(original: np.ndarray, exported: np.ndarray, thresholds: dict[str, float]) -> Parity:
    """Compares two arrays of probabilities, row by row."""
    difference = np.abs(original.astype(np.float64) - exported.astype(np.float64))
    flips = {
        name: int(np.count_nonzero((original >= limit) != (exported >= limit))) for name, limit in thresholds.items()
    }
    # NaN compares false with everything, so it has to fail here by name.
    largest = float("inf") if np.isnan(difference).any() else float(difference.max(initial=0.0))
    return Parity(len(original), largest, flips)


def require(parity: Parity, min_rows: int) -> None:
    """Refuses a file that scores differently, or that was compared on too few rows."""
    if parity.rows < min_rows:
        raise TrainingError(
            f"parity: compared on {parity.rows} rows, at least {min_rows} are needed: "
            "use more customers or days, or lower --parity-rows for an experiment"
        )
    if not parity.holds:
        raise TrainingError(
            f"parity: the ONNX file differs from the model by up to {parity.max_difference:.2g} "
            f"(limit {parity.tolerance:.0e}), decision flips {parity.flips}: nothing was published"
        )
