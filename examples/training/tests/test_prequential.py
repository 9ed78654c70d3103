"""Settings are chosen on weeks before the training, in the order of time."""

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import START, transactions

from fraudops_training.algorithms import named
from fraudops_training.cli import main
from fraudops_training.dataset import from_table
from fraudops_training.errors import TrainingError
from fraudops_training.prequential import combinations, earlier_folds, later_folds, tune
from fraudops_training.split import Protocol

WEEK = dt.timedelta(days=7)
TRAIN_START = START + 3 * WEEK


@pytest.fixture(scope="module")
def table():
    return transactions(rows_per_day=200, days=42)


def test_validation_folds_end_before_the_training_begins():
    protocol = Protocol(dt.date(2018, 7, 25))
    folds = earlier_folds(protocol, 4)
    assert [fold.train_start for fold in folds] == [
        dt.date(2018, 7, 11),
        dt.date(2018, 7, 4),
        dt.date(2018, 6, 27),
        dt.date(2018, 6, 20),
    ]
    # The last day of the newest fold is the last day whose labels are known when the training week is over.
    assert folds[0].periods()[2].last == dt.date(2018, 7, 31)
    assert [fold.train_start for fold in later_folds(protocol, 2)] == [dt.date(2018, 7, 25), dt.date(2018, 8, 1)]


def test_a_grid_is_every_combination():
    assert combinations({}) == [{}]
    assert combinations({"a": (1, 2), "b": (3,)}) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]


def test_the_best_average_precision_wins_and_nothing_is_scored_by_what_it_was_trained_on(table):
    kind = named("dt")
    folds = earlier_folds(Protocol(TRAIN_START), 2)
    tuning = tune(from_table(table, None), kind, kind.defaults, {"depth": (1, 4)}, folds)
    assert [trial.settings["depth"] for trial in tuning.trials] == [1, 4]
    assert tuning.best.ap == max(trial.ap for trial in tuning.trials)
    rows, score = tuning.held_out()
    assert len(rows) == len(score) == sum(len(part.test) for part in tuning.parts)
    report = tuning.as_dict()
    assert report["folds"] == 2 and report["trials"][0]["ap"]["mean"] == pytest.approx(tuning.best.ap)


def test_train_tune_says_what_it_chose(table, tmp_path, capsys):
    data = tmp_path / "data.parquet"
    pa.parquet.write_table(table, data)
    options = ["--train-from", str(TRAIN_START), "--folds", "1", "--parity-rows", "1000", "--out", str(tmp_path)]
    assert main(["train", "--model", "dt", "--tune", "--data", str(data), "--version", "1", *options]) == 0
    assert "best on 1 earlier weeks: {'depth': " in capsys.readouterr().err
    report = json.loads((tmp_path / "card-fraud-1.report.json").read_text())
    best = report["validation"]["trials"][0]["settings"]["depth"]
    assert report["model"]["algorithm"] == f"decision-tree-{best}"
    assert len(report["validation"]["trials"]) == 4
    assert report["measures"]["decisions"]["review"]["recall"] > 0


def test_a_fold_before_the_data_is_named(table):
    kind = named("dt")
    message = "fold that begins on 2023-12-.*the data covers 2024-01-01/2024-02-11 but .* or fewer folds"
    with pytest.raises(TrainingError, match=message):
        tune(from_table(table, None), kind, kind.defaults, {}, earlier_folds(Protocol(TRAIN_START), 4))
