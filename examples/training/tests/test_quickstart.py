"""The committed models are what the quickstart says they are."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from fraudops_training.cli import main
from fraudops_training.schema import FEATURES

QUICKSTART = Path(__file__).parents[2] / "quickstart"
VERSIONS = ["2026.11.1", "2026.11.2"]
ONLY_FOR_PEOPLE = {
    "TRANSACTION_ID",
    "TX_DATETIME",
    "CUSTOMER_ID",
    "TERMINAL_ID",
    "TX_TIME_SECONDS",
    "TX_TIME_DAYS",
}


def model(version: str) -> Path:
    return QUICKSTART / "model" / f"card-fraud-{version}.onnx"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_committed_models_are_whole_and_small(version, capsys):
    assert main(["check", str(model(version))]) == 0
    assert capsys.readouterr().out.startswith(f"card-fraud {version}: xgboost-100x3")
    assert model(version).stat().st_size <= 100_000


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "low", "high"), [("transaction", 0.0, 0.1), ("transaction-fraud", 0.5, 1.0)])
def test_the_transactions_score_as_their_names_promise(version, name, low, high, capsys):
    source = QUICKSTART / f"{name}.json"
    assert set(json.loads(source.read_bytes())) == {*FEATURES, *ONLY_FOR_PEOPLE}
    assert main(["predict", str(model(version)), str(source)]) == 0
    [score] = json.loads(capsys.readouterr().out)
    assert low <= score <= high


def test_the_manifest_names_the_model_that_is_committed():
    manifest = (QUICKSTART / "fraudmodel.yaml").read_text()
    digest = hashlib.sha256(model("2026.11.1").read_bytes()).hexdigest()
    assert re.findall(r'sha256: "([0-9a-f]{64})"', manifest) == [digest]


def test_the_two_models_differ():
    scores = [hashlib.sha256(model(version).read_bytes()).hexdigest() for version in VERSIONS]
    assert scores[0] != scores[1]
