"""A spoiled graph makes the mistake that it is named after, and no other."""

import datetime as dt
import json

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet
import pytest
from conftest import START, transactions

from fraudops_training import catalogue, golden, spoil
from fraudops_training.dataset import read_transactions
from fraudops_training.onnx_model import Scorer
from fraudops_training.schema import AMOUNT, FEATURES, key

RISK, NUMBER = "TERMINAL_ID_RISK_7DAY_WINDOW", "TERMINAL_ID_NB_TX_7DAY_WINDOW"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    file = tmp_path_factory.mktemp("world") / "data.parquet"
    pa.parquet.write_table(transactions(rows_per_day=200, days=28), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "START", START)
        yield catalogue.World(read_transactions(file), file, "0" * 64, parity_rows=1_000)


@pytest.fixture(scope="module")
def rows(world):
    return world.parts.test.features[:500]


def scores(world, rows, change, base="v2-xgboost") -> tuple[np.ndarray, Scorer]:
    spoiled = Scorer(spoil.spoiled(world.once(base), "9", change))
    assert json.loads(spoiled.metadata[key("model")])["version"] == "9"
    features, expected = golden.decode(spoiled.metadata[key("golden")])
    np.testing.assert_allclose(spoiled.probability(features), expected, atol=1e-6)
    return spoiled.probability(rows), Scorer(world.once(base))


def test_swapped_columns_score_as_rows_with_those_columns_swapped(world, rows):
    spoiled, sound = scores(world, rows, spoil.columns_swapped(RISK, NUMBER))
    order = [{RISK: NUMBER, NUMBER: RISK}.get(name, name) for name in FEATURES]
    np.testing.assert_array_equal(spoiled, sound.probability(rows[:, [FEATURES.index(name) for name in order]]))
    assert (spoiled != sound.probability(rows)).any()


@pytest.mark.parametrize("factors", [{AMOUNT: 100.0}, {RISK: 0.0}])
def test_another_unit_scores_as_rows_in_that_unit(factors, world, rows):
    spoiled, sound = scores(world, rows, spoil.columns_multiplied(factors))
    wrong = rows * np.array([factors.get(name, 1) for name in FEATURES], np.float32)
    np.testing.assert_array_equal(spoiled, sound.probability(wrong))
    assert (spoiled != sound.probability(rows)).any()


def test_the_wrong_class_is_the_rest_to_one(world, rows):
    spoiled, sound = scores(world, rows, spoil.classes_inverted)
    np.testing.assert_allclose(spoiled, 1 - sound.probability(rows), atol=1e-6)


def test_a_forgotten_scaler_leaves_the_coefficients(world, rows):
    spoiled, sound = scores(world, rows, spoil.scaler_forgotten, "v1-logistic-regression")
    assert np.abs(spoiled - sound.probability(rows)).max() > 0.1


def test_only_rows_with_a_count_of_one_have_no_score(world, rows):
    spoiled, sound = scores(world, rows, spoil.nan_at_one(NUMBER))
    one = rows[:, FEATURES.index(NUMBER)] == 1
    assert one.any() and np.isnan(spoiled[one]).all()
    np.testing.assert_array_equal(spoiled[~one], sound.probability(rows[~one]))


@pytest.mark.parametrize("change", [spoil.burdened(3, 16), spoil.spread_out(5)])
def test_a_heavy_model_scores_as_the_light_one(change, world, rows):
    spoiled, sound = scores(world, rows, change, "v1-logistic-regression")
    np.testing.assert_allclose(spoiled, sound.probability(rows), atol=1e-6)


def test_every_entry_can_be_made(world):
    made = {entry.name: world.once(entry.name) for entry in catalogue.ENTRIES}
    assert len(set(made.values())) == len(made) == len({entry.version for entry in catalogue.ENTRIES})
    for entry in catalogue.ENTRIES:
        model = onnx.load_from_string(made[entry.name])
        onnx.checker.check_model(model)
        values = {prop.key: prop.value for prop in model.metadata_props}
        assert json.loads(values[key("model")])["version"] == entry.version


def test_next_week_begins_a_week_later(world):
    values = Scorer(world.once("v3-xgboost-next-week")).metadata
    assert json.loads(values[key("trainingData")])["from"] == str(START + dt.timedelta(days=7))
