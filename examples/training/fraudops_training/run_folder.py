"""A run as MLflow's file store lays it out, so that its server shows it and its importer takes it.

OUT/EXPERIMENT/meta.yaml
OUT/EXPERIMENT/RUN/meta.yaml  params/  metrics/  tags/
OUT/EXPERIMENT/RUN/artifacts/config.yaml  metrics.json  card.md  plots/*.png  model/
"""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
import platform
import uuid
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml

from .errors import TrainingError
from .files import write_all, write_folder
from .measures import flat
from .publish import Assembled
from .schema import FEATURES, INPUT, LABEL_OUTPUT, PROBABILITY_OUTPUT

FINISHED = 3
"""MLflow's number for a run that ended well."""


@dataclass(frozen=True)
class Run:
    """What a pipeline has made."""

    name: str
    version: str
    started: dt.datetime
    config: str
    settings: dict
    made: Assembled
    tuning: dict
    pictures: dict[str, bytes]
    uri: str | None


def write(out: Path, run: Run) -> Path:
    """Writes the run under a new id, whole or not at all, and returns its folder."""
    experiment = _experiment(out, run)
    identity = uuid.uuid4().hex
    folder = experiment / identity
    ended = dt.datetime.now(dt.UTC)
    files = {
        "meta.yaml": _yaml(_meta(run, folder, identity, experiment.name, ended)),
        **{f"params/{name}": str(value).encode() for name, value in _params(run).items()},
        **{f"metrics/{name}": f"{_ms(ended)} {value!r} 0\n".encode() for name, value in _metrics(run).items()},
        **{f"tags/{name}": value.encode() for name, value in _tags(run).items()},
        **{f"artifacts/{name}": data for name, data in _artifacts(run, identity).items()},
    }
    write_folder(folder, files)
    return folder


def _experiment(out: Path, run: Run) -> Path:
    """One experiment for each name of a model. Its number is made of the name, so that it is found again."""
    number = str(int.from_bytes(hashlib.sha256(run.name.encode()).digest()[:7]) + 10**17)[:18]
    folder = out / number
    if not (folder / "meta.yaml").exists():
        moment = _ms(run.started)
        meta = {
            "artifact_location": folder.resolve().as_uri(),
            "creation_time": moment,
            "experiment_id": number,
            "last_update_time": moment,
            "lifecycle_stage": "active",
            "name": run.name,
        }
        write_all(folder, {"meta.yaml": _yaml(meta)})
    return folder


def _meta(run: Run, folder: Path, identity: str, experiment: str, ended: dt.datetime) -> dict:
    return {
        "artifact_uri": (folder / "artifacts").resolve().as_uri(),
        "end_time": _ms(ended),
        "entry_point_name": "",
        "experiment_id": experiment,
        "lifecycle_stage": "active",
        "run_id": identity,
        "run_name": run.made.stem,
        "run_uuid": identity,
        "source_name": "",
        "source_type": 4,
        "source_version": "",
        "start_time": _ms(run.started),
        "status": FINISHED,
        "tags": [],
        "user_id": _user(),
    }


def _params(run: Run) -> dict[str, object]:
    data = run.made.values["trainingData"]
    return {
        "algorithm": run.made.values["model"]["algorithm"],
        "train_from": data["from"],
        "train_to": data["to"],
        "delay_days": data["delayDays"],
        "data_sha256": data["sha256"],
        **run.settings,
    }


def _metrics(run: Run) -> dict[str, float]:
    best = run.tuning["trials"][0]
    validation = {name: best[name] for name in ("auc", "ap", "card_precision")}
    return flat(run.made.measures) | flat(validation, "validation.") | {"parity": run.made.parity.max_difference}


def _tags(run: Run) -> dict[str, str]:
    tags = {
        "mlflow.runName": run.made.stem,
        "mlflow.user": _user(),
        "mlflow.source.name": "fraudops-training pipeline",
        "mlflow.source.type": "LOCAL",
        "fraudops.version": run.version,
        "fraudops.sha256": run.made.sha256,
    }
    return tags | ({"fraudops.uri": run.uri} if run.uri else {})


def _artifacts(run: Run, identity: str) -> dict[str, bytes]:
    made = run.made
    suffix, native = made.native
    model = f"{made.stem}.onnx"
    return {
        "config.yaml": run.config.encode(),
        "metrics.json": (json.dumps({**made.measures, "validation": run.tuning}, indent=2) + "\n").encode(),
        "report.json": made.report(run.tuning),
        "card.md": made.card(tuple(f"plots/{name}" for name in run.pictures)),
        **{f"plots/{name}": data for name, data in run.pictures.items()},
        f"model/{model}": made.onnx,
        # Beside the model, where `push` looks for the card of it.
        f"model/{made.stem}.md": made.card(),
        f"model/{made.stem}{suffix}": native,
        "model/MLmodel": _yaml(_mlmodel(run, identity, model)),
        "model/requirements.txt": "".join(f"{name}=={version(name)}\n" for name in _NEEDED).encode(),
    }


_NEEDED = ("numpy", "onnx", "onnxruntime")


def _mlmodel(run: Run, identity: str, file: str) -> dict:
    """MLflow's description of a saved ONNX model."""
    return {
        "artifact_path": "model",
        "flavors": {
            "onnx": {"code": None, "data": file, "onnx_version": version("onnx"), "providers": _PROVIDERS},
            "python_function": {
                "python_version": platform.python_version(),
                "data": file,
                "env": {"virtualenv": None},
                "loader_module": "mlflow.onnx",
            },
        },
        "run_id": identity,
        "signature": {
            "inputs": json.dumps([_tensor(INPUT, "float32", [-1, len(FEATURES)])]),
            "outputs": json.dumps(
                [_tensor(LABEL_OUTPUT, "int64", [-1]), _tensor(PROBABILITY_OUTPUT, "float32", [-1, 2])]
            ),
            "params": None,
        },
        "utc_time_created": f"{run.started:%Y-%m-%d %H:%M:%S.%f}",
    }


_PROVIDERS = ["CPUExecutionProvider"]


def _tensor(name: str, kind: str, shape: list[int]) -> dict:
    return {"name": name, "type": "tensor", "tensor-spec": {"dtype": kind, "shape": shape}}


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise TrainingError("the user has no name: set USER") from error


def _yaml(value: dict) -> bytes:
    return yaml.safe_dump(value, sort_keys=True).encode()
