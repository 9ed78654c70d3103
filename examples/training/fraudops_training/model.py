"""The classifiers: fitted, saved and read back. Each kind by the rules under which its ONNX export scores the same.

- Trees get the features as they are. A scaler in float32 moves values across their splits, and they need none.
- Logistic regression and the MLP get a scaler; without one they learn nothing from an amount beside a share.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier
from xgboost.core import XGBoostError

from .algorithms import ALGORITHMS, Setting
from .dataset import Transactions
from .errors import TrainingError
from .schema import FEATURES, FRAUD_COLUMN

Classifier = Any
"""A fitted classifier with `predict_proba`; one of the kinds of `algorithms`."""


def fit(rows: Transactions, algorithm: str, settings: dict[str, Setting]) -> Classifier:
    """Fits a model of the kind `algorithm`. The same rows and settings give the same model."""
    return _FITTERS[algorithm](**settings).fit(rows.features, rows.label)


def _xgboost(trees: int, depth: int, learning_rate: float, positive_weight: float) -> XGBClassifier:
    """XGBoost with exact splits and a fixed base score.

    The defaults of XGBoost since 2 (histogram splits, estimated base score) cost 0.075 average precision
    on this data, and the estimated base score has two elements in ONNX, which not every runtime reads.
    """
    return XGBClassifier(
        n_estimators=trees,
        max_depth=depth,
        learning_rate=learning_rate,
        tree_method="exact",
        base_score=0.5,
        scale_pos_weight=positive_weight,
        random_state=0,
        n_jobs=1,
    )


def _lightgbm(trees: int, leaves: int, learning_rate: float) -> Classifier:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=trees,
        num_leaves=leaves,
        learning_rate=learning_rate,
        random_state=0,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )


def _random_forest(trees: int, depth: int) -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=trees, max_depth=depth, random_state=0, n_jobs=1)


def _logistic_regression(inverse_regularization: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=inverse_regularization, max_iter=1_000))


def _mlp(hidden: tuple[int, ...]) -> Pipeline:
    network = MLPClassifier(hidden_layer_sizes=hidden, early_stopping=True, n_iter_no_change=5, random_state=0)
    return make_pipeline(StandardScaler(), network)


def _decision_tree(depth: int) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=depth, random_state=0)


_FITTERS = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "random-forest": _random_forest,
    "logistic-regression": _logistic_regression,
    "mlp": _mlp,
    "decision-tree": _decision_tree,
}

_UNREADABLE = (OSError, EOFError, ImportError, pickle.UnpicklingError, ValueError, KeyError, IndexError, AttributeError)
"""What reading a damaged or foreign .joblib raises."""

_SCALED = {"LogisticRegression": "logistic-regression", "MLPClassifier": "mlp"}
_BARE = {
    "XGBClassifier": "xgboost",
    "LGBMClassifier": "lightgbm",
    "RandomForestClassifier": "random-forest",
    "DecisionTreeClassifier": "decision-tree",
}


def kind_of(model: Classifier) -> str:
    """Name of the model's kind; an error for one that has no faithful export."""
    steps = [type(step).__name__ for _, step in model.steps] if isinstance(model, Pipeline) else [type(model).__name__]
    match steps:
        case [name] if name in _BARE:
            return _BARE[name]
        case ["StandardScaler", name] if name in _SCALED:
            return _SCALED[name]
        case [*_, name] if name in _BARE:
            raise TrainingError(
                f"{' + '.join(steps)}: a step before a tree moves values across its splits in float32: "
                f"fit {name} alone, it needs no scaler"
            )
        case [name] if name in _SCALED:
            raise TrainingError(f"{name} without a scaler: fit make_pipeline(StandardScaler(), {name}())")
    raise TrainingError(f"{' + '.join(steps)}: not one of {', '.join(ALGORITHMS)}")


def describe(model: Classifier) -> str:
    """One word for people: `xgboost-100x3`."""
    kind = kind_of(model)
    last = model[-1] if isinstance(model, Pipeline) else model
    hyper = last.get_params()
    trees = last.get_booster().num_boosted_rounds() if kind == "xgboost" else hyper.get("n_estimators")
    settings = {
        "trees": trees,
        "depth": hyper.get("max_depth") or "?",
        "leaves": hyper.get("num_leaves"),
        "hidden": tuple(np.atleast_1d(hyper.get("hidden_layer_sizes", ())).tolist()),
    }
    return ALGORITHMS[kind].describe(settings)


def load(path: Path) -> Classifier:
    """Reads a classifier that `train` wrote, or the library's own save: .ubj or .json (XGBoost), .joblib (the others).

    A .joblib runs code when it is read: only files whose origin is known.
    """
    model = _load_joblib(path) if path.suffix == ".joblib" else _load_xgboost(path)
    width = getattr(model, "n_features_in_", None)
    if width != len(FEATURES):
        raise TrainingError(f"{path}: the model has {width} inputs, expected {len(FEATURES)}: {', '.join(FEATURES)}")
    return model


def _load_xgboost(path: Path) -> XGBClassifier:
    model = XGBClassifier()
    try:
        model.load_model(path)
    except (OSError, XGBoostError, ValueError, TypeError) as error:
        raise TrainingError(f"{path}: not an XGBoost model: {str(error).splitlines()[0]}") from error
    return model


def _load_joblib(path: Path) -> Classifier:
    try:
        model = joblib.load(path)
    except _UNREADABLE as error:
        raise TrainingError(f"{path}: not a model saved by joblib: {error}") from error
    try:
        kind_of(model)
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from error
    return model


def native(model: Classifier) -> tuple[str, bytes]:
    """Extension and content of the model in the form of its own library."""
    if isinstance(model, XGBClassifier):
        return ".ubj", bytes(model.get_booster().save_raw("ubj"))
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return ".joblib", buffer.getvalue()


def probability(model: Classifier, features: np.ndarray) -> np.ndarray:
    """Probability of fraud for each row."""
    return model.predict_proba(features)[:, FRAUD_COLUMN]
