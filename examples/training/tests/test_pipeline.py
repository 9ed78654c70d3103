"""One file describes a whole run; its folder is MLflow's."""

import json
import resource
from pathlib import Path

import onnx
import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from conftest import transactions

from fraudops_training.cli import main
from fraudops_training.config import read
from fraudops_training.errors import TrainingError

EXAMPLE = Path(__file__).parents[1] / "pipeline.yaml"


def document(**changes) -> dict:
    return {
        "version": "1.2.3",
        "createdAt": "2024-02-01T00:00:00Z",
        "data": {"file": "data.parquet"},
        "split": {"trainFrom": "2024-01-15"},
        "model": {"kind": "dt", "grid": {"depth": [2, 4]}},
        "validation": {"folds": 1},
        "thresholds": {"reviewRate": 0.05, "blockRate": 0.02},
        "export": {"parityRows": 1000},
    } | changes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("pipeline")
    pa.parquet.write_table(transactions(rows_per_day=200, days=35), made / "data.parquet")
    return made


def run(folder: Path, out: Path, **changes) -> int:
    config = folder / "pipeline.yaml"
    config.write_text(yaml.safe_dump(document(**changes)))
    return main(["pipeline", str(config), "--out", str(out)])


def test_a_run_folder_holds_all_of_it_in_the_layout_of_mlflow(folder, tmp_path, capsys):
    assert run(folder, tmp_path) == 0
    captured = capsys.readouterr()
    made = Path(captured.out.strip())
    assert "s] validation on 1 earlier weeks: AP " in captured.err
    assert sorted(path.name for path in made.iterdir()) == ["artifacts", "meta.yaml", "metrics", "params", "tags"]
    experiment = yaml.safe_load((made.parent / "meta.yaml").read_text())
    meta = yaml.safe_load((made / "meta.yaml").read_text())
    assert experiment["name"] == "card-fraud" and experiment["experiment_id"] == meta["experiment_id"]
    assert meta["run_id"] == made.name and meta["run_name"] == "card-fraud-1.2.3" and meta["status"] == 3
    assert meta["artifact_uri"] == (made / "artifacts").as_uri()

    artifacts = made / "artifacts"
    assert yaml.safe_load((artifacts / "config.yaml").read_text()) == document()
    measures = json.loads((artifacts / "metrics.json").read_text())
    assert float((made / "metrics" / "ap").read_text().split()[1]) == measures["ap"]
    assert (made / "params" / "depth").read_text() in "24"
    assert 0 < measures["decisions"]["block"]["alertRate"] < measures["decisions"]["review"]["alertRate"] < 0.1
    assert "(plots/validation.png)" in (artifacts / "card.md").read_text()
    described = yaml.safe_load((artifacts / "model" / "MLmodel").read_text())
    model = artifacts / "model" / described["flavors"]["onnx"]["data"]
    onnx.checker.check_model(onnx.load(model))
    assert main(["check", str(model)]) == 0
    assert [path.name for path in tmp_path.rglob(".partial-*")] == []


def test_a_second_run_joins_the_experiment_of_its_name(folder, tmp_path):
    for kind in ("lr", "dt"):
        assert run(folder, tmp_path, model={"kind": kind}, thresholds={"reviewCost": 1, "falseBlockCost": 50}) == 0
    [experiment] = tmp_path.iterdir()
    assert len([path for path in experiment.iterdir() if path.is_dir()]) == 2


def test_a_run_that_fails_leaves_no_folder(folder, tmp_path, capsys):
    assert run(folder, tmp_path / "runs", export={"parityRows": 10**6}) == 1
    assert "parity: compared on" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_run_that_does_not_fit_on_the_disk_leaves_no_folder(folder, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(document()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, hard))
    try:
        assert main(["pipeline", str(folder / "pipeline.yaml"), "--out", str(tmp_path / "runs")]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "--out " in (message := capsys.readouterr().err) and "File too large" in message
    assert not list(tmp_path.rglob("artifacts")) and not list(tmp_path.rglob(".partial-*"))


def test_a_run_is_pushed_where_it_says(folder, registry, tmp_path):
    reference = f"{registry}/fraud/pipeline:1.2.3"
    assert run(folder, tmp_path, push={"reference": reference, "plainHttp": True}) == 0
    [uri] = (path.read_text() for path in tmp_path.rglob("tags/fraudops.uri"))
    assert uri.startswith(f"oci://{registry}/fraud/pipeline@sha256:")


def test_the_example_is_valid_and_says_the_defaults():
    example = read(EXAMPLE)
    least = EXAMPLE.parent / "tests" / "data" / "least.yaml"
    default = read(least)
    for name in ("name", "version", "licence", "protocol", "algorithm", "settings", "folds", "parity_rows", "push"):
        assert getattr(example, name) == getattr(default, name), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1.0}, "version: 1.0 is not of type 'string'"),
        ({"name": "Card"}, "name: 'Card' does not match"),
        ({"models": {}}, "the file: Additional properties are not allowed ('models' was unexpected)"),
        ({"data": {}}, "data: {} should be non-empty"),
        ({"data": {"file": "a", "simulate": {}}}, "data: give either file or simulate"),
        ({"data": {"simulate": {"customers": 0}}}, "data.simulate.customers: 0 is less than the minimum of 1"),
        ({"split": {"trainFrom": "2024-02-31"}}, "split.trainFrom: day is out of range for month"),
        ({"split": {"days": 0}}, "split.days: 0 is less than the minimum of 1"),
        ({"model": {"kind": "svm"}}, "model.kind: 'svm' is no kind of model"),
        ({"model": {"kind": "dt", "settings": {"trees": 3}}}, "model.settings.trees: decision-tree has depth"),
        (
            {"model": {"kind": "dt", "settings": {"depth": -1}}},
            "model.settings.depth: -1 is not a whole number above 0",
        ),
        ({"model": {"kind": "dt", "grid": {"depth": [1, "x"]}}}, "model.grid.depth: 'x' is not a whole number above 0"),
        ({"model": {"kind": "mlp", "settings": {"hidden": 5}}}, "model.settings.hidden: 5 is not a list"),
        ({"thresholds": {"review": 0.6, "block": 0.5}}, "thresholds.review: 0.6 is above thresholds.block 0.5"),
        ({"thresholds": {"reviewRate": 0.1, "blockRate": 0.5}}, "thresholds.reviewRate: 0.1 is below"),
        ({"thresholds": {"review": 0.6}}, "thresholds: give review and block, or reviewRate and blockRate, or"),
        ({"createdAt": "today"}, "createdAt: Invalid isoformat string: 'today'"),
        ({"push": {"reference": "nowhere"}}, "push.reference: REFERENCE 'nowhere' is not host"),
        ({"data": {"file": "none.parquet"}}, "none.parquet: no such file"),
    ],
)
def test_a_bad_field_is_named(changes, message, folder, tmp_path, capsys):
    assert run(folder, tmp_path / "runs", **changes) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty; at least version and data are needed"),
        (b"a: [", "not YAML: "),
        (b"- 1", "the file: [1] is not of type 'object'"),
        (b"\xff\xfe\x00", "pipeline.yaml: "),
    ],
)
def test_a_file_that_is_no_configuration_is_named(content, message, tmp_path):
    file = tmp_path / "pipeline.yaml"
    file.write_bytes(content)
    with pytest.raises(TrainingError, match=r"pipeline\.yaml: ") as caught:
        read(file)
    assert message in str(caught.value)
