"""Runs helm on the chart; nothing here talks to a cluster."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

CHARTS = Path(__file__).parent.parent
CHART = CHARTS / "fraudops"
VALUES = Path(__file__).parent / "values"
SETS = sorted(path.stem for path in VALUES.glob("*.yaml"))


class Refused(Exception):
    """Helm did not render the values; the text is its reason."""


def helm(*arguments: str, text: str | None = None) -> str:
    done = subprocess.run([os.environ["HELM"], *arguments], input=text, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def render_text(values: dict, *flags: str) -> str:
    common = ["--namespace", "fraudops-system", "--values", "-"]
    return helm("template", "fraudops", str(CHART), *common, *flags, text=yaml.safe_dump(values))


def render(values: dict, *flags: str) -> list[dict]:
    # libyaml's loader: the CRD takes the other one a fifth of a second
    loaded = yaml.load_all(render_text(values, *flags), Loader=yaml.CSafeLoader)
    return [document for document in loaded if document]


def value_set(name: str) -> dict:
    return yaml.safe_load((VALUES / f"{name}.yaml").read_text()) or {}


def one(objects: list[dict], kind: str, name: str | None = None) -> dict:
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


@pytest.fixture(scope="session", params=SETS)
def rendered(request) -> list[dict]:
    """The objects of each file in values/."""
    return render(value_set(request.param))
