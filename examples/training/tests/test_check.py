import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from fraudops_training.cli import main
from fraudops_training.onnx_model import Scorer
from fraudops_training.schema import FEATURES

STEM = "card-fraud-1.2.3"


def changed(trained: Path, folder: Path, change) -> Path:
    """A copy of the model with other metadata."""
    model = onnx.load(trained / f"{STEM}.onnx")
    values = {entry.key.removeprefix("fraudops.dev/"): entry.value for entry in model.metadata_props}
    change(values)
    onnx.helper.set_model_props(model, {f"fraudops.dev/{name}": value for name, value in values.items()})
    file = folder / "changed.onnx"
    onnx.save(model, file)
    return file


def swap_features(values: dict) -> None:
    features = json.loads(values["features"])
    features[3], features[4] = features[4], features[3]
    values["features"] = json.dumps(features)


def shift_golden(values: dict) -> None:
    from fraudops_training import golden

    rows, expected = golden.decode(values["golden"])
    values["golden"] = golden.encode(rows, expected + np.float32(0.001))


def test_a_trained_model_is_described(trained, capsys):
    assert main(["check", str(trained / f"{STEM}.onnx")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("card-fraud 1.2.3: xgboost-100x3, made 2024-02-01T00:00:00Z\n")
    assert "review 0.1, block 0.5" in out and "golden" in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            swap_features,
            "feature 3 is CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW, expected CUSTOMER_ID_NB_TX_1DAY_WINDOW",
        ),
        (shift_golden, "golden rows differ by 0.001, limit 1e-04"),
        (lambda values: values.pop("golden"), "missing metadata fraudops.dev/golden"),
        (lambda values: values.update(schema="v2"), "metadata schema 'v2', expected 'v1'"),
        (lambda values: values.update(metrics="{"), "metadata fraudops.dev/metrics is not JSON"),
        (lambda values: values.update(thresholds="{}"), "metadata lacks 'review'"),
    ],
)
def test_a_model_that_a_scorer_would_refuse_is_refused(change, message, trained, tmp_path, capsys):
    assert main(["check", str(changed(trained, tmp_path, change))]) == 1
    assert message in capsys.readouterr().err


def test_what_is_no_model_is_refused(trained, tmp_path, capsys):
    whole = (trained / f"{STEM}.onnx").read_bytes()
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", whole[: len(whole) // 2])):
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(content)
        assert main(["check", str(file)]) == 1
        assert f"{name}.onnx: not a model that ONNX Runtime can load" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "none.onnx")]) == 1
    assert "none.onnx: No such file or directory" in capsys.readouterr().err


def test_predictions_are_those_of_onnx_runtime(trained, tmp_path, capsys):
    body = {name: float(number) for number, name in enumerate(FEATURES)} | {
        "TRANSACTION_ID": 1,
        "MORE": "ignored",
    }
    other = body | {"TX_AMOUNT": 400}
    source = tmp_path / "bodies.json"
    source.write_text(json.dumps([body, other]))
    assert main(["predict", str(trained / f"{STEM}.onnx"), str(source)]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = np.array([[one[name] for name in FEATURES] for one in (body, other)], np.float32)
    assert printed == [float(score) for score in Scorer(trained / f"{STEM}.onnx").probability(rows)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an empty list"),
        ("{", "not JSON"),
        ("[1]", "[0]: expected an object"),
        ('{"TX_AMOUNT": "1"}', "[0]: field TX_AMOUNT must be a finite number, found '1'"),
        ('{"TX_AMOUNT": NaN}', "[0]: field TX_AMOUNT must be a finite number, found nan"),
        ('{"TX_AMOUNT": 1}', "[0]: field TX_DURING_WEEKEND must be a finite number, found None"),
    ],
)
def test_bodies_that_cannot_be_scored_are_refused(content, message, trained, tmp_path, capsys):
    source = tmp_path / "bodies.json"
    source.write_text(content)
    assert main(["predict", str(trained / f"{STEM}.onnx"), str(source)]) == 1
    assert message in capsys.readouterr().err
