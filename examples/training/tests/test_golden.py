import numpy as np
import pytest

from fraudops_training import golden, parity
from fraudops_training.errors import TrainingError
from fraudops_training.metadata import HISTOGRAM_EDGES, histogram, numeric_version, profile
from fraudops_training.schema import FEATURES


def test_golden_rows_survive_the_way_through_the_metadata():
    rng = np.random.default_rng(1)
    features, score = rng.random((32, 15), np.float32), rng.random(32, np.float32)
    decoded, expected = golden.decode(golden.encode(features, score))
    np.testing.assert_array_equal(decoded, features)
    np.testing.assert_array_equal(expected, score)


@pytest.mark.parametrize(
    "value",
    ["null", "{}", "[]", '{"rows":1,"features":15,"data":"AAAA"}', '{"rows":1,"features":15,"data":"*"}'],
)
def test_malformed_golden_rows_are_refused(value):
    with pytest.raises(TrainingError, match="golden rows"):
        golden.decode(value)


def test_golden_rows_span_the_scores_instead_of_crowding_near_zero():
    score = np.concatenate([np.linspace(1e-4, 1e-3, 5_000), np.linspace(1e-3, 0.99, 500)]).astype(np.float32)
    chosen = golden.choose(score)
    assert len(set(chosen.tolist())) == golden.ROWS
    assert score[chosen].max() > 0.95
    assert 5 < np.count_nonzero(score[chosen] > 0.05) < 28


def test_few_distinct_scores_still_fill_the_golden_rows():
    assert len(golden.choose(np.array([0.1, 0.2, 0.1, 0.2, 0.3]))) == golden.ROWS


def test_parity_fails_on_a_difference_on_a_flip_and_on_nan():
    limits = {"review": 0.1, "block": 0.5}
    score = np.array([0.05, 0.3, 0.5], np.float32)
    assert parity.compare(score, score, limits).holds
    assert not parity.compare(score, score + np.float32(2e-5), limits).holds
    flipped = parity.compare(score, np.array([0.05, 0.3, 0.4999999], np.float32), limits)
    assert flipped.max_difference < parity.TOLERANCE and flipped.flips == {"review": 0, "block": 1}
    assert not flipped.holds
    assert not parity.compare(score, np.array([0.05, np.nan, 0.5], np.float32), limits).holds


def test_parity_on_too_few_rows_is_no_proof():
    same = parity.compare(np.zeros(5), np.zeros(5), {"block": 0.5})
    with pytest.raises(TrainingError, match="compared on 5 rows, at least 6 are needed"):
        parity.require(same, 6)


def test_the_profile_keeps_zero_apart_and_float32_exact():
    features = np.zeros((10, 15), np.float32)
    features[:, 0] = np.arange(10) / np.float32(10)
    first, second = profile(features)[:2]
    assert first["name"] == FEATURES[0] and len(first["q"]) == 9
    assert np.float32(first["max"]) == features[:, 0].max()
    assert first["zeroShare"] == 0.1 and second["zeroShare"] == 1.0


def test_the_histogram_counts_every_score_once():
    scores = np.array([0.0, 0.001, 0.3, 0.95, 1.0])
    counts = histogram(scores, "2018-08-01/2018-08-07")["counts"]
    assert len(counts) == len(HISTOGRAM_EDGES) + 1
    assert sum(counts) == 5 and counts[0] == 1 and counts[1] == 1 and counts[-1] == 2


def test_versions_become_numbers_where_they_can():
    assert numeric_version("2026.11.1") == 2_026_011_001
    assert numeric_version("2026.11.1-rc1") == 0
