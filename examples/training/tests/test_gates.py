"""What a rollout can see of a candidate."""

import numpy as np
import pytest

from fraudops_training.gates import Pairs, psi, ratio, self_psi
from fraudops_training.metadata import HISTOGRAM_EDGES


def pairs(stable, candidate, weight=None) -> Pairs:
    stable, candidate = np.array(stable), np.array(candidate)
    return Pairs(stable, candidate, np.ones(len(stable)) if weight is None else np.array(weight, float), 0.5)


def test_alerts_are_compared_by_weight_and_nan_is_no_alert():
    seen = pairs([0.9, 0.9, 0.1, 0.1], [0.9, float("nan"), 0.9, 0.1], [1, 1, 2, 4]).compare()
    assert seen == {"alertRatio": 1.5, "retention": 0.5, "newAlerts": 1.0, "invalid": 0.125}


def test_a_candidate_that_lost_half_the_alerts_fails_by_retention_and_an_equal_one_by_nothing():
    rng = np.random.default_rng(0)
    stable = (rng.random(50_000) < 0.01).astype(float)
    lost = stable * (rng.random(50_000) < 0.5)
    found = pairs(stable, lost).transactions_to_fail(5, 30_000)
    assert found["retention"] < 10_000 and found["newAlerts"] == float("inf")
    assert set(pairs(stable, stable).transactions_to_fail(5, 30_000).values()) == {float("inf")}


def test_looking_after_every_transaction_gives_no_more_false_alarms_than_said():
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        # The candidate alerts exactly twice as often as the stable model: just what is tolerated.
        mine, others = rng.random(5_000) < 0.02, rng.random(5_000) < 0.01
        alarms += bool((ratio(mine, others, 2.0) >= np.log(200)).any())
    assert alarms / 300 <= 0.01


def test_psi_is_zero_for_the_same_and_large_for_another_distribution():
    assert psi(np.array([10, 20, 30]), np.array([10, 20, 30])) == pytest.approx(0)
    # By hand: shares .9/.1 and .1/.9, nearly; half a count is added to each.
    assert psi(np.array([899.5, 99.5]), np.array([99.5, 899.5])) == pytest.approx(0.8 * np.log(9) * 2)


def test_scores_are_counted_in_the_bins_of_the_file():
    counts = np.zeros(len(HISTOGRAM_EDGES) + 1)
    counts[0] = counts[-1] = 500
    score = np.repeat([0.0, 1.0], 500)
    assert self_psi({"counts": counts}, score, np.ones(1_000)) == pytest.approx(0)
    assert self_psi({"counts": counts}, np.zeros(1_000), np.ones(1_000)) > 1
