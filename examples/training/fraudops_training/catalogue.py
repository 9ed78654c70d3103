"""Good and bad candidates for a rollout: how each is made, what is wrong with it, and who should notice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import model, publish, spoil
from .algorithms import ALGORITHMS
from .commands import trainer
from .dataset import Transactions
from .leak import with_leaked_risk
from .metadata import Identity
from .schema import AMOUNT, FEATURES, WINDOWS
from .split import Protocol, Split, split

START = dt.date(2018, 7, 25)
MADE = dt.datetime(2026, 11, 26, 6, tzinfo=dt.UTC)
THRESHOLDS = {"review": 0.1, "block": 0.5}
CUSTOMER_COLUMNS = tuple(name for name in FEATURES if name.startswith("CUSTOMER_ID"))
RISK_COLUMNS = tuple(f"TERMINAL_ID_RISK_{days}DAY_WINDOW" for days in WINDOWS)
AMOUNT_COLUMNS = (AMOUNT, *(f"CUSTOMER_ID_AVG_AMOUNT_{days}DAY_WINDOW" for days in WINDOWS))
PRICES_SINCE = 1.5
SLOW_LAYERS, SLOW_UNITS = 90, 2_048
"""380 million weights to walk through for a transaction, which no cache holds; in the file they are one number."""

HEAVY_COPIES = 200_000
"""Rows of 60 bytes: 12 MB for each transaction."""


@dataclass(frozen=True)
class Entry:
    """A file of the catalogue. `gate` is where a rollout should stop it, or `promote`."""

    name: str
    version: str
    title: str
    wrong: str
    gate: str
    make: Callable[[World], bytes]

    @property
    def is_good(self) -> bool:
        """Whether a rollout should promote it."""
        return self.gate == "promote"


class World:
    """The transactions that the catalogue is trained on, and what has been made of them so far."""

    def __init__(self, rows: Transactions, file: Path, digest: str, parity_rows: int = 10_000) -> None:
        """`file` holds the rows; `digest` is its sha256."""
        self._rows, self._file, self._digest, self._parity_rows = rows, file, digest, parity_rows
        self.parts = split(rows, Protocol(START))
        self._made: dict[str, bytes] = {}

    def trained(self, kind: str, version: str, **settings: object) -> bytes:
        """As `train` would do it."""
        return self.fitted(kind, version, self.parts, Protocol(START), **settings)

    def once(self, name: str) -> bytes:
        """The file of another entry, which is made on the first demand."""
        if name not in self._made:
            self._made[name] = next(entry for entry in ENTRIES if entry.name == name).make(self)
        return self._made[name]

    def next_week(self, version: str) -> bytes:
        """The default model, a week later."""
        protocol = Protocol(START + dt.timedelta(days=7))
        return self.fitted("xgboost", version, split(self._rows, protocol), protocol)

    def leaked(self, version: str) -> bytes:
        """Trained and measured with labels that are not known yet."""
        parts = split(with_leaked_risk(self._rows, self._file), Protocol(START))
        return self.fitted("xgboost", version, parts, Protocol(START))

    def fitted(self, kind: str, version: str, parts: Split, protocol: Protocol, **settings: object) -> bytes:
        """Fits on the train period of `parts`, and describes the file by their other periods."""
        algorithm = ALGORITHMS[kind]
        chosen = algorithm.settle(settings)
        identity = Identity(
            "card-fraud", version, MADE, algorithm.describe(chosen), trainer(kind), git=None, licence="Apache-2.0"
        )
        request = publish.Request(Path(), identity, protocol, THRESHOLDS, self._digest, self._parity_rows)
        return publish.assemble(model.fit(parts.train, kind, chosen), parts, request).onnx

    def with_train(self, version: str, change: Callable[[Transactions], Transactions], everywhere: bool) -> bytes:
        """The default model of changed rows: only those of the training, or of all periods alike."""
        delay, test = self.parts.delay, self.parts.test
        if everywhere:
            delay, test = change(delay), change(test)
        return self.fitted("xgboost", version, Split(change(self.parts.train), delay, test), Protocol(START))


def _sound(world: World) -> bytes:
    return world.once("v2-xgboost")


def _shuffled(rows: Transactions) -> Transactions:
    return replace(rows, label=np.random.default_rng(0).permutation(rows.label))


def _without_features(rows: Transactions) -> Transactions:
    return replace(rows, features=np.zeros_like(rows.features))


def _before_prices_rose(rows: Transactions) -> Transactions:
    features = rows.features.copy()
    features[:, [FEATURES.index(name) for name in AMOUNT_COLUMNS]] /= np.float32(PRICES_SINCE)
    return replace(rows, features=features)


def _spoiled(version: str, change: spoil.Change, base: str = "v2-xgboost", **more: int) -> Callable[[World], bytes]:
    return lambda world: spoil.spoiled(world.once(base), version, change, **more)


ENTRIES = (
    Entry("v1-logistic-regression", "1.0.0", "logistic regression", "nothing: the first model, simple and good",
          "promote", lambda w: w.trained("logistic-regression", "1.0.0")),
    Entry("v2-xgboost", "2.0.0", "XGBoost, 100 trees of depth 3", "nothing: better than v1",
          "promote", lambda w: w.trained("xgboost", "2.0.0")),
    Entry("v3-xgboost-next-week", "3.0.0", "v2, trained a week later", "nothing: the weekly retrain",
          "promote", lambda w: w.next_week("3.0.0")),
    Entry("lightgbm", "2.1.0", "LightGBM, 100 trees of 7 leaves", "nothing: another library",
          "promote", lambda w: w.trained("lightgbm", "2.1.0")),
    Entry("random-forest-10", "2.2.0", "random forest, 10 trees of depth 10", "nothing: another kind of model",
          "promote", lambda w: w.trained("random-forest", "2.2.0")),
    Entry("bad-swapped-columns", "2.0.1", "two columns swapped",
          "the terminal's risk and its number of transactions (7 days) reach the model in each other's place",
          "newAlerts", _spoiled("2.0.1", spoil.columns_swapped("TERMINAL_ID_RISK_7DAY_WINDOW",
                                                             "TERMINAL_ID_NB_TX_7DAY_WINDOW"))),
    Entry("bad-terminal-risk-zeroed", "2.0.2", "terminal risk is always zero",
          "the three risks of the terminal are lost on the way, as in an outage of the feature store; scores look "
          "alike, and the frauds at terminals are missed",
          "retention", _spoiled("2.0.2", spoil.columns_multiplied(dict.fromkeys(RISK_COLUMNS, 0.0)))),
    Entry("bad-customer-zeroed", "2.0.3", "customer features are always zero",
          "the six features of the customer are lost on the way: every amount looks unusual",
          "newAlerts", _spoiled("2.0.3", spoil.columns_multiplied(dict.fromkeys(CUSTOMER_COLUMNS, 0.0)))),
    Entry("bad-cents", "2.0.4", "cents for euros", "the amount arrives a hundred times too large",
          "newAlerts", _spoiled("2.0.4", spoil.columns_multiplied({AMOUNT: 100.0}))),
    Entry("bad-pos-weight", "2.0.5", "trained with positive_weight 100",
          "the ranking is nearly as good, but scores are far too high for the thresholds that stayed",
          "newAlerts", lambda w: w.trained("xgboost", "2.0.5", positive_weight=100.0)),
    Entry("bad-no-scaler", "1.0.1", "v1 without its scaler",
          "only the last step of the pipeline was exported: raw amounts meet coefficients for scaled ones",
          "newAlerts", _spoiled("1.0.1", spoil.scaler_forgotten, base="v1-logistic-regression")),
    Entry("bad-shuffled-labels", "2.0.6", "trained on shuffled labels",
          "a join by position gave every transaction the label of another: nothing is learned, nothing alerts",
          "retention", lambda w: w.with_train("2.0.6", _shuffled, everywhere=False)),
    Entry("bad-inverted", "2.0.7", "the wrong class",
          "the probability of being genuine is served as that of fraud",
          "newAlerts", _spoiled("2.0.7", spoil.classes_inverted)),
    Entry("bad-constant", "2.0.8", "the same score for everything",
          "a join that found nothing filled all inputs of the training with zero: there was nothing to learn from",
          "retention", lambda w: w.with_train("2.0.8", _without_features, everywhere=False)),
    Entry("bad-nan", "2.0.9", "not a number for some rows",
          "a standard deviation inside the graph divides by n - 1: 0/0 for a terminal with one transaction in its "
          "week. The scorer answers with its fallback decision, which counts as an error",
          "errorRatio", _spoiled("2.0.9", spoil.nan_at_one("TERMINAL_ID_NB_TX_7DAY_WINDOW"))),
    Entry("bad-slow", "2.2.1", "far too slow",
          f"a network of {SLOW_LAYERS} layers of {SLOW_UNITS:,} units was left in the graph beside the forest: scores "
          "are right, and each takes more than the 25 ms that an answer may take",
          "slowRatio", _spoiled("2.2.1", spoil.burdened(SLOW_LAYERS, SLOW_UNITS), base="random-forest-10",
                                golden_rows=spoil.GOLDEN_ROWS_OF_A_HEAVY_MODEL)),
    Entry("bad-memory", "1.0.2", "out of memory under load",
          "every transaction takes 12 MB while it is scored: one fits into a pod of 256 MiB, the 64 of a full batch "
          "take 0.8 GB; scores are right. The scorer warms up with full batches, so its pod is killed before it is "
          "ready",
          "load", _spoiled("1.0.2", spoil.spread_out(HEAVY_COPIES), base="v1-logistic-regression",
                           golden_rows=spoil.GOLDEN_ROWS_OF_A_HEAVY_MODEL)),
    Entry("bad-feature-order", "2.0.10", "another order of features in the metadata",
          "the file names two inputs in each other's place: a scorer that fills by name would swap them",
          "load", lambda w: spoil.with_metadata(_sound(w), "2.0.10", "features", spoil.swapped_names)),
    Entry("bad-golden", "2.0.11", "golden rows of another model",
          "the file does not score as its golden rows say: it is not the model that was tested",
          "load", lambda w: spoil.with_metadata(_sound(w), "2.0.11", "golden", spoil.golden_of_another_model)),
    Entry("bad-stale", "2.0.12", "trained before prices rose",
          "amounts are half as large again as in the training: what is usual now looks like fraud",
          "newAlerts", lambda w: w.with_train("2.0.12", _before_prices_rose, everywhere=True)),
    Entry("bad-leaked-labels", "2.0.13", "trained on labels from the future",
          "the terminal's risk was computed without the delay of the labels, this transaction among them: nearly "
          "perfect in its own report, poor where labels are late",
          "retention", lambda w: w.leaked("2.0.13")),
)  # fmt: skip
