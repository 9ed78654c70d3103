"""LightGBM's splits in the precision that ONNX has.

LightGBM keeps a split in float64, between two values of the data. ONNX keeps it in float32, and the converter
rounds to the nearest, which can be the upper of the two: then that value changes sides. Rounded down instead, every
float32 value stays where it is, because `x <= split` asks the same of the largest float32 that is not above the split.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lightgbm import LGBMClassifier


def with_float_splits(model: LGBMClassifier) -> LGBMClassifier:
    """A copy of the model that gives the same scores for float32 rows, with splits that are float32 numbers."""
    from lightgbm import Booster

    text = re.sub(r"(?m)^threshold=(.*)$", _round_line, model.booster_.model_to_string())
    # Lengths of the trees' texts, which are no longer right; without them the trees are read one after the other.
    text = re.sub(r"(?m)^tree_sizes=.*\n", "", text)
    twin = copy.copy(model)
    twin._Booster = Booster(model_str=text)
    return twin


def _round_line(line: re.Match) -> str:
    return "threshold=" + " ".join(repr(float(round_down(float(split)))) for split in line[1].split())


def round_down(value: float) -> np.float32:
    """The largest float32 that is not above `value`."""
    nearest = np.float32(value)
    return np.nextafter(nearest, np.float32(-np.inf)) if float(nearest) > value else nearest
