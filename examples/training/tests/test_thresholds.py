"""Thresholds for a rate or a cost, against a search through all of them."""

import json

import numpy as np
import pytest
from conftest import TRAIN_OPTIONS

from fraudops_training.cli import main
from fraudops_training.dataset import Transactions
from fraudops_training.errors import TrainingError
from fraudops_training.schema import FEATURES
from fraudops_training.thresholds import Cost, by_cost, by_rate

STEM = "card-fraud-1.2.3"


def rows(label, amount) -> Transactions:
    features = np.zeros((len(label), len(FEATURES)), np.float32)
    features[:, 0] = amount
    zeros = np.zeros(len(label), int)
    return Transactions(features, np.array(label), zeros, np.datetime64("2018-08-08") + zeros, None)


def test_a_rate_is_kept_and_nearly_used():
    score = np.random.default_rng(0).random(10_000, np.float32)
    chosen = by_rate(score, 0.01, 0.002)
    assert (score >= chosen["review"]).sum() == 100
    assert (score >= chosen["block"]).sum() == 20


def test_equal_scores_are_never_split_and_the_rate_is_not_exceeded():
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], np.float32)
    chosen = by_rate(score, 0.3, 0.1)
    assert (score >= chosen["review"]).sum() == 1 == (score >= chosen["block"]).sum()


@pytest.mark.parametrize(
    ("review", "block", "message"),
    [
        (0.01, 0.02, "0 < block <= review"),
        (0.01, 0.01, "review rate 0.01: less than one of 10"),
        (0.2, 0.2, "more transactions than that have the highest score 0.5"),
    ],
)
def test_a_rate_that_cannot_be_had_is_refused(review, block, message):
    with pytest.raises(TrainingError, match=message):
        by_rate(np.full(10, 0.5, np.float32), review, block)


@pytest.mark.parametrize("seed", range(5))
def test_no_pair_of_thresholds_costs_less(seed):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 20, 60).astype(np.float32) / 20
    data = rows((rng.random(60) < score**2).astype(int), rng.gamma(2, 30, 60))
    cost = Cost(review=5, false_block=40)

    def total(review, block):
        alert, blocked = score >= review, score >= block
        fraud, amount = data.label == 1, data.features[:, 0].astype(float)
        return (
            cost.review * (alert & ~blocked).sum()
            + cost.false_block * (blocked & ~fraud).sum()
            + amount[fraud & ~alert].sum()
        )

    chosen, each = by_cost(data, score, cost)
    cuts = (np.arange(42) - 0.5) / 40
    assert total(**chosen) / 60 == pytest.approx(each)
    assert each * 60 == pytest.approx(min(total(r, b) for r in cuts for b in cuts if r <= b))
    assert 0 <= chosen["review"] <= chosen["block"] <= 1


def threshold(trained, data, *options) -> int:
    return main(["threshold", str(trained / f"{STEM}.onnx"), "--data", str(data), *TRAIN_OPTIONS[:2], *options])


def test_the_command_prints_what_the_decision_of_a_manifest_takes(trained, data, capsys):
    assert threshold(trained, data, "--review-rate", "0.05", "--block-rate", "0.01") == 0
    chosen = json.loads(capsys.readouterr().out)
    assert 0 < chosen["review"] < chosen["block"] < 1
    assert threshold(trained, data, "--review-cost", "3", "--false-block-cost", "100") == 0
    assert set(json.loads(capsys.readouterr().out)) == {"review", "block"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --review-rate and --block-rate, or --review-cost and --false-block-cost"),
        (["--review-rate", "0.1"], "give --review-rate and --block-rate"),
        (["--review-rate", "0.1", "--block-rate", "0.1", "--review-cost", "1"], "give --review-rate"),
        (["--review-cost", "-1", "--false-block-cost", "1"], "--review-cost -1 is below 0"),
    ],
)
def test_half_a_wish_is_refused(options, message, trained, data, capsys):
    assert threshold(trained, data, *options) == 1
    assert message in capsys.readouterr().err
