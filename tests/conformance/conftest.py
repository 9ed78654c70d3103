"""The scorer that is tested: SCORER_HTTP and SCORER_GRPC are its addresses; tests/conformance.sh sets them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import numpy as np
import pytest

FIXTURES = Path(__file__).parents[2] / "scorer/tests/fixtures"
WIDTH = 15


def _address(variable: str) -> str:
    address = os.environ.get(variable)
    if not address:
        pytest.skip(f"{variable} is not set: run tests/conformance.sh")
    return address


@pytest.fixture(scope="session")
def http() -> str:
    """Host and port of the serving port."""
    return _address("SCORER_HTTP")


@pytest.fixture(scope="session")
def grpc_address() -> str:
    """Host and port of gRPC."""
    return _address("SCORER_GRPC")


@pytest.fixture(scope="session")
def api(http: str):
    """A plain client of the serving port."""
    with httpx.Client(base_url=f"http://{http}", timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def model(api: httpx.Client) -> tuple[str, str]:
    """Name and version of the served model."""
    about = api.get("/openapi.json").json()["info"]
    return about["title"].removeprefix("fraudops scorer: "), about["version"]


@pytest.fixture(scope="session")
def rows() -> np.ndarray:
    """Rows that Python's ONNX Runtime scored with the tiny model."""
    table = json.loads((FIXTURES / "tiny-scores.json").read_text())
    return np.array(table["rows"], dtype=np.float32)


@pytest.fixture(scope="session")
def scores(model: tuple[str, str]) -> np.ndarray:
    """What it scored them with."""
    if model[0] != "tiny":
        pytest.skip("the scores are known for scorer/tests/fixtures/tiny.onnx only")
    table = json.loads((FIXTURES / "tiny-scores.json").read_text())
    return np.array(table["scores"], dtype=np.float32)


@pytest.fixture(scope="session")
def transactions(api: httpx.Client, rows: np.ndarray) -> list[dict]:
    """The same rows as bodies of /predict, by the field names of the document."""
    fields = api.get("/openapi.json").json()["components"]["schemas"]["Transaction"]
    inputs = {}
    for name, field in fields["properties"].items():
        if field["description"].startswith("Input "):
            inputs[int(field["description"].split()[1]) - 1] = (name, "enum" in field)
    bodies = []
    for number, row in enumerate(rows):
        body = dict(fields["example"], TRANSACTION_ID=10_000 + number)
        for column, (name, is_flag) in inputs.items():
            body[name] = int(row[column]) if is_flag else float(row[column])
        bodies.append(body)
    assert len(inputs) == WIDTH
    return bodies
