import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import yaml
from conftest import RunningRegistry

from fraudops_training.cli import main
from fraudops_training.errors import TrainingError
from fraudops_training.modelpack import Reference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
# Of the password "correct horse", as `htpasswd -B` writes it.
HTPASSWD = "pusher:$2b$05$B3Ej9V10eq4eCeEJF2Ct5.n5OAPxdjJu8/o83wpNNdUqDGy7/bWY6\n"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def model(tmp_path) -> Path:
    file = tmp_path / "card-fraud-1.0.0.onnx"
    file.write_bytes(b"the bytes of a model")
    file.with_suffix(".md").write_text("# card-fraud 1.0.0\n")
    return file


def push(model: Path, reference: str, *more: str) -> int:
    return main(["push", str(model), reference, "--plain-http", *more])


def fetch(uri: str) -> tuple[dict, bytes]:
    host, rest = uri.removeprefix("oci://").split("/", 1)
    repository, digest = rest.split("@")
    response = requests.get(
        f"http://{host}/v2/{repository}/manifests/{digest}", headers={"Accept": MANIFEST}, timeout=10
    )
    response.raise_for_status()
    return response.json(), response.content


def test_the_artifact_is_a_modelpack_with_the_file_as_it_is(registry, model, capsys):
    assert push(model, f"oci://{registry}/fraud/card:1.0.0") == 0
    uri = capsys.readouterr().out.strip()
    manifest, raw = fetch(uri)
    assert uri == f"oci://{registry}/fraud/card@{sha256(raw)}"
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    weights, card = manifest["layers"]
    assert weights["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
    assert weights["digest"] == sha256(model.read_bytes())
    assert weights["annotations"]["org.cncf.model.filepath"] == model.name
    assert card["mediaType"] == "application/vnd.cncf.model.doc.v1.raw"

    blobs = f"http://{registry}/v2/fraud/card/blobs"
    assert requests.get(f"{blobs}/{weights['digest']}", timeout=10).content == model.read_bytes()
    config = requests.get(f"{blobs}/{manifest['config']['digest']}", timeout=10).json()
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert config["descriptor"] == {"name": "card", "version": "1.0.0", "licenses": ["Apache-2.0"]}
    assert config["config"]["format"] == "onnx"
    assert config["modelfs"] == {"type": "layers", "diffIds": [weights["digest"], card["digest"]]}


def test_the_same_model_pushed_again_has_the_same_digest(registry, model, capsys):
    uris = []
    for _ in range(2):
        assert push(model, f"{registry}/fraud/again:1.0.0") == 0
        uris.append(capsys.readouterr().out)
    assert uris[0] == uris[1]


def test_a_model_without_a_card_is_one_layer(registry, model, capsys):
    model.with_suffix(".md").unlink()
    assert push(model, f"{registry}/fraud/bare:1.0.0", "--name", "other", "--model-version", "9") == 0
    manifest, _ = fetch(capsys.readouterr().out.strip())
    assert len(manifest["layers"]) == 1
    assert manifest["annotations"]["org.opencontainers.image.title"] == "other"
    assert manifest["annotations"]["org.opencontainers.image.version"] == "9"


def test_credentials_come_from_the_docker_configuration(model, tmp_path, capsys, monkeypatch):
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}}}\n"
    monkeypatch.setenv("HOME", str(tmp_path))
    private = RunningRegistry(tmp_path, auth)
    try:
        reference = f"{private.host}/fraud/card:1.0.0"
        assert push(model, reference) == 1
        assert f"{private.host}: credentials are required" in capsys.readouterr().err
        for user, answer in (("pusher:wrong", 1), ("pusher:correct horse", 0)):
            login(tmp_path / ".docker", private.host, user)
            assert push(model, reference) == answer, user
        captured = capsys.readouterr()
        assert "check the credentials" in captured.err and captured.out.startswith(f"oci://{private.host}/")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
        (tmp_path / ".docker").rename(tmp_path / "elsewhere")
        assert push(model, reference) == 0
    finally:
        private.stop()


def login(folder: Path, host: str, user: str) -> None:
    import base64

    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(user.encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def test_a_registry_that_is_down_is_reported_at_once(model, capsys):
    assert push(model, "127.0.0.1:1/fraud/card:1.0.0") == 1
    captured = capsys.readouterr()
    assert "127.0.0.1:1: unreachable" in captured.err and captured.out == ""


def test_https_against_a_plain_registry_names_the_option(registry, model, capsys):
    assert main(["push", str(model), f"{registry}/fraud/card:1.0.0"]) == 1
    assert "--plain-http" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "card:1",
        "host/card",
        "host/card@sha256:00",
        "host/Card:1",
        "host/card:",
        "https://host/card:1",
        "host/a b:1",
    ],
)
def test_references_without_host_or_tag_are_refused(text):
    with pytest.raises(TrainingError, match="is not host"):
        Reference.parse(text)


def test_references_may_have_ports_schemes_and_folders():
    for text in (
        "localhost:5000/a/b/c:v1",
        "oci://registry.example/fraud/card-fraud:2026.11.1",
        "[::1]:5000/a:1",
    ):
        assert str(Reference.parse(text)) == text.removeprefix("oci://")


def test_files_that_are_no_models_are_refused(registry, tmp_path, capsys):
    for name, content, message in (
        ("model.pkl", b"x", "the file must be an .onnx"),
        ("model.onnx", b"", "empty file"),
    ):
        (tmp_path / name).write_bytes(content)
        assert push(tmp_path / name, f"{registry}/fraud/card:1") == 1
        assert message in capsys.readouterr().err
    assert push(tmp_path / "none.onnx", f"{registry}/fraud/card:1") == 1
    assert "none.onnx: No such file or directory" in capsys.readouterr().err


HEAVY = ("joblib", "lightgbm", "numpy", "onnx", "onnxruntime", "pyarrow", "sklearn", "xgboost")
WITHOUT_TRAINING_STACK = f"""
import sys
sys.modules.update(dict.fromkeys({HEAVY!r}))
from fraudops_training.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def test_pushing_needs_no_training_stack(registry, model):
    command = [sys.executable, "-c", WITHOUT_TRAINING_STACK]
    pushed = subprocess.run(
        [*command, "push", str(model), f"{registry}/fraud/light:1", "--plain-http"],
        capture_output=True,
        timeout=30,
    )
    assert pushed.returncode == 0, pushed.stderr
    trained = subprocess.run([*command, "check", str(model)], capture_output=True, text=True, timeout=30)
    assert trained.returncode == 1 and "pip install 'fraudops-training[train]'" in trained.stderr


QUICKSTART = Path(__file__).parents[2] / "quickstart/model/card-fraud-2026.11.1.onnx"


def test_a_patch_has_everything_that_a_fraudmodel_says_about_a_file(registry, capsys):
    assert push(QUICKSTART, f"{registry}/fraud/patch:1.0.0") == 0
    uri = capsys.readouterr().out.strip()
    assert push(QUICKSTART, f"{registry}/fraud/patch:1.0.0", "--patch") == 0
    assert yaml.safe_load(capsys.readouterr().out) == {
        "spec": {
            "model": {
                "version": "2026.11.1",
                "uri": uri,
                "sha256": hashlib.sha256(QUICKSTART.read_bytes()).hexdigest(),
            },
            "decision": {"review": 0.1, "block": 0.5},
        }
    }


def test_a_file_without_metadata_gets_no_patch_and_is_not_pushed(registry, model, capsys):
    assert push(model, f"{registry}/fraud/none:1.0.0", "--patch") == 1
    assert str(model) in capsys.readouterr().err
    assert requests.get(f"http://{registry}/v2/fraud/none/tags/list", timeout=10).status_code == 404
