"""What is measured of a model, by the command line and in numbers."""

import json

import numpy as np
import pytest
from conftest import TRAIN_OPTIONS
from test_metrics import rows

from fraudops_training.cli import main
from fraudops_training.measures import flat, measure

STEM = "card-fraud-1.2.3"
SPLIT = TRAIN_OPTIONS[:2]


def test_decisions_and_calibration_are_counted():
    data = rows([0] * 4, [1, 2, 3, 4], [1, 1, 0, 0], scenario=[1, 2, 0, 0])
    measures = measure(data, np.array([0.9, 0.2, 0.6, 0.1]), {"review": 0.5})
    decision = measures["decisions"]["review"]
    assert (decision["alertRate"], decision["precision"], decision["recall"]) == (0.5, 0.5, 0.5)
    assert decision["recallByScenario"] == {"1": 1.0, "2": 0.0}
    calibration = measures["calibration"]
    assert calibration["ratio"] == pytest.approx(0.9) and calibration["observed"] == 2
    assert sum(entry["rows"] for entry in calibration["bins"]) == 4
    assert flat(measures)["decisions.review.recallByScenario.1"] == 1.0


def test_no_alert_is_no_precision():
    data = rows([0, 0], [1, 2], [1, 0])
    assert measure(data, np.array([0.2, 0.1]), {"block": 0.5})["decisions"]["block"]["precision"] == 0


@pytest.mark.parametrize("suffix", [".onnx", ".ubj"])
def test_evaluate_measures_what_training_measured(suffix, trained, data, tmp_path, capsys):
    target = tmp_path / "out" / "measures.json"
    model = str(trained / f"{STEM}{suffix}")
    assert main(["evaluate", model, "--data", str(data), *SPLIT, "--json", str(target)]) == 0
    assert "precision" in capsys.readouterr().out
    report = json.loads((trained / f"{STEM}.report.json").read_text())
    ours, theirs = flat(json.loads(target.read_text())), flat(report["measures"])
    assert ours == pytest.approx(theirs, abs=1e-4)


def test_evaluate_takes_other_thresholds(trained, data, capsys):
    model = str(trained / f"{STEM}.onnx")
    assert main(["evaluate", model, "--data", str(data), *SPLIT, "--review", "0", "--block", "1"]) == 0
    assert "review at 0: 100.00% of the rows" in capsys.readouterr().out
    assert main(["evaluate", model, "--data", str(data), *SPLIT, "--review", "0.6"]) == 1
    assert "--review 0.6 is above --block 0.5" in capsys.readouterr().err


def test_a_card_has_plots(trained, data, tmp_path, capsys):
    assert main(["card", str(trained / f"{STEM}.onnx"), "--data", str(data), *SPLIT, "--out", str(tmp_path)]) == 0
    text = (tmp_path / "card.md").read_text()
    pictures = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert pictures == ["calibration.png", "precision-recall.png", "scenarios.png", "scores.png"]
    assert all(f"(plots/{name})" in text for name in pictures)
    assert (tmp_path / "plots" / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert main(["card", str(trained / f"{STEM}.ubj"), "--data", str(data), *SPLIT, "--out", str(tmp_path)]) == 1
    assert "a card is of an .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.onnx", "model.ubj", "model.joblib"])
@pytest.mark.parametrize("command", ["evaluate", "threshold", "export"])
def test_a_damaged_model_is_named(name, command, data, tmp_path, capsys):
    file = tmp_path / name
    file.write_bytes(b"\x80\x04damaged")
    options = {
        "evaluate": [],
        "threshold": ["--review-cost", "1", "--false-block-cost", "1"],
        "export": ["--version", "1", "--out", str(tmp_path / "out")],
    }[command]
    assert main([command, str(file), "--data", str(data), *SPLIT, *options]) == 1
    assert f"{name}: not a" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
