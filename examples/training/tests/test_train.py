import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from conftest import DAYS, TRAIN_OPTIONS, transactions

from fraudops_training import publish
from fraudops_training.cli import main
from fraudops_training.onnx_model import Scorer
from fraudops_training.schema import FEATURES, LABEL

STEM = "card-fraud-1.2.3"


def train(data: Path, out: Path, *more: str) -> int:
    arguments = [
        "train",
        "--data",
        str(data),
        "--version",
        "1.2.3",
        "--out",
        str(out),
        "--parity-rows",
        "1000",
    ]
    return main([*arguments, *TRAIN_OPTIONS, *more])


def metadata(file: Path) -> dict[str, str]:
    return {entry.key.removeprefix("fraudops.dev/"): entry.value for entry in onnx.load(file).metadata_props}


def test_training_writes_model_native_form_card_and_report(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        f"{STEM}.md",
        f"{STEM}.onnx",
        f"{STEM}.report.json",
        f"{STEM}.ubj",
    ]
    card = (trained / f"{STEM}.md").read_text()
    assert card.startswith("# card-fraud 1.2.3\n") and "## Limits" in card and "average precision" in card
    report = json.loads((trained / f"{STEM}.report.json").read_text())
    assert report["parity"]["holds"] and report["parity"]["max_difference"] <= 1e-5


def test_the_graph_is_what_the_scorer_expects(trained):
    model = onnx.load(trained / f"{STEM}.onnx")
    assert {(entry.domain, entry.version) for entry in model.opset_import} == {("", 17), ("ai.onnx.ml", 3)}
    assert model.ir_version == 8 and model.model_version == 1_002_003
    assert "Trained on 2024-01-01/2024-01-07" in model.doc_string
    assert not {node.op_type for node in model.graph.node} & {"ZipMap", "Scaler"}
    shapes = {
        value.name: (value.type.tensor_type.elem_type, value.type.tensor_type.shape.dim[-1].dim_value)
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes["features"] == (onnx.TensorProto.FLOAT, 15)
    assert shapes["probabilities"] == (onnx.TensorProto.FLOAT, 2)
    assert shapes["label"][0] == onnx.TensorProto.INT64


def test_the_metadata_tells_a_scorer_all_it_needs(trained, data):
    values = metadata(trained / f"{STEM}.onnx")
    assert set(values) == {
        "schema", "model", "features", "output", "thresholds", "scoreHist", "metrics", "trainingData", "golden"
    }  # fmt: skip
    assert values["schema"] == "v1"
    assert [feature["name"] for feature in json.loads(values["features"])] == list(FEATURES)
    assert json.loads(values["output"]) == {"tensor": "probabilities", "column": 1, "calibrated": False}
    assert json.loads(values["thresholds"]) == {"review": 0.1, "block": 0.5}
    model = json.loads(values["model"])
    assert (model["name"], model["version"], model["createdAt"]) == (
        "card-fraud",
        "1.2.3",
        "2024-02-01T00:00:00Z",
    )
    training = json.loads(values["trainingData"])
    assert training["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert (training["rows"], training["from"], training["to"]) == (2_800, "2024-01-01", "2024-01-07")
    histogram = json.loads(values["scoreHist"])
    assert histogram["period"] == "2024-01-08/2024-01-14" and sum(histogram["counts"]) == 2_800


def test_the_golden_rows_score_as_written(trained):
    file = trained / f"{STEM}.onnx"
    golden = json.loads(metadata(file)["golden"])
    assert (golden["rows"], golden["features"]) == (32, 15)
    table = np.frombuffer(base64.b64decode(golden["data"]), "<f4").reshape(32, 16)
    np.testing.assert_allclose(Scorer(file).probability(table[:, :15]), table[:, 15], atol=1e-6)


def test_the_same_input_makes_the_same_file(trained, data, tmp_path):
    assert train(data, tmp_path) == 0
    assert (tmp_path / f"{STEM}.onnx").read_bytes() == (trained / f"{STEM}.onnx").read_bytes()


def test_csv_trains_like_parquet(trained, tmp_path):
    source = tmp_path / "transactions.csv"
    pa.csv.write_csv(transactions(), source)
    assert train(source, tmp_path) == 0
    rows = transactions(rows_per_day=20, seed=5)
    features = np.column_stack([rows[name].to_numpy() for name in FEATURES])
    scores = [Scorer(folder / f"{STEM}.onnx").probability(features) for folder in (tmp_path, trained)]
    np.testing.assert_allclose(*scores, atol=1e-6)


def test_a_native_model_exports_to_the_same_scores(trained, data, tmp_path):
    native = str(trained / f"{STEM}.ubj")
    arguments = ["--data", str(data), "--version", "1.2.4", "--out", str(tmp_path), "--parity-rows", "1000"]
    assert main(["export", native, *arguments, *TRAIN_OPTIONS]) == 0
    rows = np.random.default_rng(3).random((500, 15), np.float32) * 50
    old, new = (
        Scorer(path).probability(rows) for path in (trained / f"{STEM}.onnx", tmp_path / "card-fraud-1.2.4.onnx")
    )
    np.testing.assert_array_equal(old, new)


def test_a_version_is_published_once(trained, data, capsys):
    before = (trained / f"{STEM}.onnx").stat().st_mtime_ns
    assert train(data, trained) == 1
    assert "give a new --version, or --overwrite" in capsys.readouterr().err
    assert (trained / f"{STEM}.onnx").stat().st_mtime_ns == before


def test_a_file_that_scores_differently_is_not_published(data, tmp_path, capsys, monkeypatch):
    honest = Scorer.probability
    monkeypatch.setattr(publish.Scorer, "probability", lambda self, rows: honest(self, rows) * np.float32(0.99))
    assert train(data, tmp_path) == 1
    assert "nothing was published" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_too_few_rows_for_parity_publish_nothing(data, tmp_path, capsys):
    assert train(data, tmp_path, "--parity-rows", "10000") == 1
    assert "at least 10000 are needed" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert train(data, tmp_path / "file") == 1
    assert f"--out {tmp_path}/file: " in capsys.readouterr().err


def without(name: str) -> pa.Table:
    return transactions(20).drop_columns([name])


def replaced(name: str, values: object) -> pa.Table:
    table = transactions(20)
    return table.set_column(table.column_names.index(name), name, pa.array(values))


ROWS = 20 * DAYS


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (lambda: without("TX_AMOUNT"), "missing column TX_AMOUNT; write the file with `fraudops-simulator"),
        (lambda: without(LABEL), "missing column TX_FRAUD"),
        (lambda: transactions(20).slice(0, 0), "no rows"),
        (lambda: replaced(LABEL, [0] * ROWS), "the train period has no fraud rows"),
        (lambda: replaced(LABEL, [1] * ROWS), "the train period has no genuine rows"),
        (lambda: replaced(LABEL, [2] * ROWS), "column TX_FRAUD must be 0 or 1, found 2"),
        (lambda: replaced(LABEL, [None] * ROWS), "column TX_FRAUD has 420 empty values"),
        (lambda: replaced("TX_AMOUNT", [float("nan")] * ROWS), "column TX_AMOUNT is not a finite number in row 0"),
        (lambda: replaced("TX_AMOUNT", ["much"] * ROWS), "column TX_AMOUNT is string, expected numbers"),
        (lambda: replaced("TX_DATETIME", [1] * ROWS), "column TX_DATETIME is int64, expected a timestamp"),
        (lambda: transactions(20, days=20), "the data covers 2024-01-01/2024-01-20 but the split needs"),
    ],
)  # fmt: skip
def test_unusable_data_is_refused_by_column(table, message, tmp_path, capsys):
    source = tmp_path / "data.parquet"
    pa.parquet.write_table(table(), source)
    assert train(source, tmp_path / "out") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.txt", b"", "unknown extension '.txt', use .parquet or .csv"),
        ("data.parquet", b"no parquet", "data.parquet: "),
        ("data.csv", b"", "data.csv: "),
    ],
)
def test_unreadable_data_is_refused_by_file(name, content, message, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    assert train(tmp_path / name, tmp_path / "out") == 1
    assert message in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path, capsys):
    assert train(tmp_path / "none.parquet", tmp_path) == 1
    assert "none.parquet: no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--review", "1.5", "argument --review: 1.5 is not between 0 and 1"),
        ("--version", "not ok", "argument --version: 'not ok': use letters"),
        ("--name", "Card_Fraud", "argument --name: 'Card_Fraud': use lower-case"),
        ("--train-start", "tomorrow", "'tomorrow' is not a date (YYYY-MM-DD)"),
        ("--train-days", "0", "0 is not at least 1"),
    ],
)
def test_bad_options_are_named(option, value, message, data, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        train(data, tmp_path, option, value)
    assert message in capsys.readouterr().err


def test_a_review_threshold_above_block_is_refused(data, tmp_path, capsys):
    assert train(data, tmp_path, "--review", "0.6") == 1
    assert "--review 0.6 is above --block 0.5" in capsys.readouterr().err
