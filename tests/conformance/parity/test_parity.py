"""The scorer's answers, over HTTP and with the real field names, against Python."""

import json
import subprocess

import numpy as np
import pytest
from fraudops_training import model as models
from fraudops_training.algorithms import ALGORITHMS
from fraudops_training.cli import main
from fraudops_training.dataset import read_transactions
from fraudops_training.onnx_model import Scorer as PythonScorer
from fraudops_training.schema import FEATURES
from scorer_process import SIMULATOR, Scorer

ROWS = 10_000
TO_ONNX_RUNTIME = 1e-6
TO_ORIGINAL = 1e-5

# A small world with enough fraud: three weeks after the 30 days in which its windows fill.
WORLD = ["--customers", "2000", "--terminals", "4000", "--days", "55", "--radius", "5"]
TRAIN_START = "2018-05-03"


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    file = tmp_path_factory.mktemp("data") / "transactions.parquet"
    subprocess.run([SIMULATOR, "generate", *WORLD, "--features", "--out", file], check=True)
    return file


@pytest.fixture(scope="session")
def rows(data):
    """The last transactions: no model is trained on them. Every fourth one has values that no training row has."""
    features = read_transactions(data).features[-ROWS:].copy()
    rng = np.random.default_rng(0)
    strange = slice(None, None, 4)
    noise = rng.lognormal(sigma=1, size=features[strange].shape).astype(np.float32)
    noise[:, 1:3] = 1  # the two flags stay 0 or 1
    features[strange] *= noise
    return features


@pytest.fixture(scope="session")
def bodies(rows):
    return [body(number, row) for number, row in enumerate(rows)]


def body(number, row):
    """A body of POST /predict; a float32 written as the shortest decimal that is the same float32."""
    inputs = {name: json.loads(str(value)) for name, value in zip(FEATURES, row, strict=True)}
    inputs |= {flag: int(inputs[flag]) for flag in ("TX_DURING_WEEKEND", "TX_DURING_NIGHT")}
    return json.dumps(
        {
            "TRANSACTION_ID": number,
            "TX_DATETIME": "2018-05-30T12:34:56Z",
            "CUSTOMER_ID": number % 1_000,
            "TERMINAL_ID": number % 2_000,
            "TX_TIME_SECONDS": 5_142_896,
            "TX_TIME_DAYS": 59,
            **inputs,
        }
    ).encode()


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_the_scorer_scores_like_python(kind, data, rows, bodies, tmp_path):
    options = ["--data", str(data), "--train-start", TRAIN_START, "--out", str(tmp_path), "--name", kind]
    assert main(["train", "--algorithm", kind, "--version", "1", *options]) == 0
    onnx = tmp_path / f"{kind}-1.onnx"
    original = models.load(next(file for file in tmp_path.iterdir() if file.suffix in (".ubj", ".joblib")))

    with Scorer(onnx) as scorer:
        ours = np.array(scorer.probabilities(bodies))

    assert len(ours) == ROWS
    assert np.ptp(ours) > 0.3, "a model that says the same of everything proves nothing"
    differences = {
        "ONNX Runtime": np.abs(ours - PythonScorer(onnx).probability(rows)).max(),
        "the original": np.abs(ours - models.probability(original, rows)).max(),
    }
    print(kind, differences)
    assert differences["ONNX Runtime"] <= TO_ONNX_RUNTIME
    assert differences["the original"] <= TO_ORIGINAL
