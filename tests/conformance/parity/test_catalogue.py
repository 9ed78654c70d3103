"""The real scorer's verdict on every model of examples/models, before any traffic."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from fraudops_training.catalogue import ENTRIES
from fraudops_training.catalogue_files import HEAVY, read_sample
from fraudops_training.onnx_model import Scorer as PythonScorer
from scorer_process import SCORER, Scorer
from test_parity import body

MODELS = Path(__file__).parents[3] / "examples" / "models"
REFUSED = {"bad-feature-order": "FeatureMismatch", "bad-golden": "GoldenMismatch"}
# The heavy ones take a minute to warm up; what they do is measured by the training's own tests.
SERVED = [entry.name for entry in ENTRIES if entry.name not in (*REFUSED, *HEAVY)]
ROWS = 300


def check(name):
    return subprocess.run([SCORER, "check", MODELS / f"{name}.onnx"], capture_output=True, text=True)


@pytest.mark.parametrize("name", SERVED)
def test_what_only_traffic_can_show_is_served(name):
    done = check(name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_the_load_check_should_see_is_refused(name, reason):
    done = check(name)
    assert done.returncode == 1 and reason in done.stdout


@pytest.mark.parametrize("name", ["bad-swapped-columns", "bad-terminal-risk-zeroed", "bad-cents"])
def test_the_scorer_makes_the_same_mistake_as_onnx_runtime(name):
    rows = read_sample(MODELS)[0][:ROWS]
    with Scorer(MODELS / f"{name}.onnx") as scorer:
        ours = scorer.probabilities([body(number, row) for number, row in enumerate(rows)])
    np.testing.assert_allclose(ours, PythonScorer(MODELS / f"{name}.onnx").probability(rows), atol=1e-6)


def test_a_row_without_a_score_is_answered_by_the_fallback():
    rows = read_sample(MODELS)[0]
    missing = np.flatnonzero(np.isnan(PythonScorer(MODELS / "bad-nan.onnx").probability(rows)))
    with Scorer(MODELS / "bad-nan.onnx") as scorer:
        answer = scorer.answer(body(1, rows[missing[0]]))
    assert answer["model_error"] and answer["source"] == "fallback" and answer["fraud_probability"] is None
