"""All kinds of model, from fit to file and back. The scorer's own scores are compared in tests/conformance/parity."""

import json

import joblib
import numpy as np
import onnx
import pytest
from conftest import TRAIN_OPTIONS
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fraudops_training import model as models
from fraudops_training.algorithms import ALGORITHMS
from fraudops_training.cli import main
from fraudops_training.float_splits import with_float_splits
from fraudops_training.onnx_model import Scorer

WORDS = {
    "xgboost": "xgboost-100x3",
    "lightgbm": "lightgbm-100x7",
    "random-forest": "random-forest-10x10",
    "logistic-regression": "logistic-regression",
    "mlp": "mlp-64",
    "decision-tree": "decision-tree-5",
}
SCALED = {"logistic-regression", "mlp"}


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory):
    """One model of each kind."""
    out = tmp_path_factory.mktemp("kinds")
    for kind in ALGORITHMS:
        options = ["--name", kind, "--version", "1", "--out", str(out), "--parity-rows", "1000"]
        assert main(["train", "--algorithm", kind, "--data", str(data), *options, *TRAIN_OPTIONS]) == 0
    return out


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_every_kind_is_published_and_scores_as_its_library_does(kind, folder):
    report = json.loads((folder / f"{kind}-1.report.json").read_text())
    assert report["parity"]["holds"] and report["parity"]["max_difference"] <= 1e-5
    assert report["model"]["algorithm"] == WORDS[kind]
    assert report["metrics"]["ap"] > 0.2, "it has learned something"

    proto = onnx.load(folder / f"{kind}-1.onnx")
    operators = {node.op_type for node in proto.graph.node}
    assert "ZipMap" not in operators
    domains = [entry.domain for entry in proto.opset_import]
    assert domains == sorted(domains, reverse=True), "always in one order, so that the same input makes the same file"
    assert ("Scaler" in operators) == (kind in SCALED)
    assert [output.name for output in proto.graph.output] == ["label", "probabilities"]
    assert all(not output.type.tensor_type.shape.dim[0].dim_value for output in proto.graph.output)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_native_form_comes_back_and_exports_to_the_same_scores(kind, folder, data, tmp_path):
    native = folder / f"{kind}-1{'.ubj' if kind == 'xgboost' else '.joblib'}"
    assert models.describe(models.load(native)).startswith(kind)
    options = ["--name", kind, "--version", "2", "--out", str(tmp_path), "--parity-rows", "1000"]
    assert main(["export", str(native), "--data", str(data), *options, *TRAIN_OPTIONS]) == 0
    rows = np.random.default_rng(3).random((500, 15), np.float32) * 50
    files = (folder / f"{kind}-1.onnx", tmp_path / f"{kind}-2.onnx")
    np.testing.assert_array_equal(*(Scorer(file).probability(rows) for file in files))


def test_splits_of_lightgbm_are_rounded_down_and_no_score_changes(folder):
    original = models.load(folder / "lightgbm-1.joblib")
    rounded = with_float_splits(original)
    splits = [float(split) for line in original.booster_.model_to_string().splitlines()
              if line.startswith("threshold=") for split in line[10:].split()]  # fmt: skip
    above = [split for split in splits if float(np.float32(split)) > split]
    assert above, "no split of this model would have been rounded up: the test proves nothing"
    rows = np.random.default_rng(1).random((2_000, 15), np.float32) * 50
    # Values exactly on what a split would have been rounded up to, for every feature.
    rows[: len(above)] = np.float32(above[:2_000])[:, None]
    np.testing.assert_array_equal(*(models.probability(model, rows) for model in (original, rounded)))
    np.testing.assert_allclose(
        Scorer(folder / "lightgbm-1.onnx").probability(rows), models.probability(original, rows), atol=1e-5
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--algorithm", "mlp", "--trees", "5"), "--trees has no effect on mlp; its options are: --hidden"),
        (("--algorithm", "logistic-regression", "--depth", "5"), "its options are: --inverse-regularization"),
        (("--leaves", "5"), "--leaves has no effect on xgboost"),
    ],
)
def test_an_option_that_the_kind_does_not_have_is_refused(arguments, message, data, tmp_path, capsys):
    options = ["--version", "1", "--out", str(tmp_path)]
    assert main(["train", *arguments, "--data", str(data), *options, *TRAIN_OPTIONS]) == 1
    assert message in capsys.readouterr().err


def refused(estimator, data, tmp_path) -> int:
    rows = np.random.default_rng(0).random((100, 15), np.float32)
    file = tmp_path / "model.joblib"
    joblib.dump(estimator.fit(rows, rows[:, 0] > 0.5), file)
    return main(["export", str(file), "--data", str(data), "--version", "1", "--out", str(tmp_path), *TRAIN_OPTIONS])


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (make_pipeline(StandardScaler(), DecisionTreeClassifier()), "moves values across its splits"),
        (LogisticRegression(), "LogisticRegression without a scaler"),
        (StandardScaler(), "StandardScaler: not one of xgboost, lightgbm"),
    ],
)
def test_a_model_whose_export_would_not_be_faithful_is_refused(estimator, message, data, tmp_path, capsys):
    assert refused(estimator, data, tmp_path) == 1
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_model_is_named(data, tmp_path, capsys):
    (tmp_path / "model.joblib").write_bytes(b"no pickle")
    options = ["--data", str(data), "--version", "1", "--out", str(tmp_path)]
    assert main(["export", str(tmp_path / "model.joblib"), *options, *TRAIN_OPTIONS]) == 1
    assert "model.joblib: not a model saved by joblib" in capsys.readouterr().err
