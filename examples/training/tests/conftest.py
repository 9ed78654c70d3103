"""Small transactions that behave like the simulator's, and a real registry."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from fraudops_training.cli import main
from fraudops_training.schema import AMOUNT, CUSTOMER, DATETIME, FEATURES, LABEL, SCENARIO, TERMINAL

START = dt.date(2024, 1, 1)
DAYS = 21
TRAIN_OPTIONS = ["--train-start", str(START), "--created-at", "2024-02-01T00:00:00Z"]


def transactions(rows_per_day: int = 400, days: int = DAYS, seed: int = 0) -> pa.Table:
    """Rows in the order of time; a high amount or a high terminal risk makes fraud likely."""
    rng = np.random.default_rng(seed)
    count = rows_per_day * days
    day = np.repeat(np.arange(days), rows_per_day)
    second = np.sort(rng.integers(0, 86_400, (days, rows_per_day)), axis=1).ravel()
    columns = {name: rng.integers(0, 30, count).astype(float) for name in FEATURES}
    columns[AMOUNT] = np.round(rng.gamma(2, 30, count), 2)
    columns["TX_DURING_WEEKEND"] = (day % 7 >= 5).astype(float)
    columns["TX_DURING_NIGHT"] = (second < 7 * 3_600).astype(float)
    risk = np.where(rng.random(count) < 0.04, rng.random(count), 0.0)
    columns["TERMINAL_ID_RISK_7DAY_WINDOW"] = risk
    by_amount, by_risk = columns[AMOUNT] > 220, rng.random(count) < risk
    label = by_amount | by_risk
    when = np.datetime64(START, "ms") + (day * 86_400 + second).astype("timedelta64[s]")
    return pa.table(
        {
            "TRANSACTION_ID": np.arange(count),
            DATETIME: pa.array(when, pa.timestamp("ms", tz="+00:00")),
            # Many customers: the protocol drops the known ones from the test period.
            CUSTOMER: rng.integers(0, count, count),
            TERMINAL: rng.integers(0, 500, count),
            LABEL: label.astype(np.int8),
            SCENARIO: np.where(by_risk, 2, by_amount).astype(np.int8),
            **columns,
        }
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "transactions.parquet"
    pa.parquet.write_table(transactions(), path)
    return path


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the four files of a trained model."""
    out = tmp_path_factory.mktemp("model")
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
    assert main([*arguments, *TRAIN_OPTIONS]) == 0
    return out


class RunningRegistry:
    """Debian's docker-registry on a loopback port, with its storage in a temporary folder."""

    def __init__(self, folder: Path, auth: str = "") -> None:
        program = shutil.which("docker-registry")
        assert program, "docker-registry is not installed: apt-get install docker-registry"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        config = folder / "config.yml"
        config.write_text(
            f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/storage}}}}\n"
            f"http: {{addr: '{self.host}'}}\n{auth}"
        )
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen([program, "serve", str(config)], stdout=self._log, stderr=self._log)
        self._wait()

    def _wait(self) -> None:
        host, port = self.host.split(":")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process.poll() is None, Path(self._log.name).read_text()
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("docker-registry did not listen within 20 s")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(timeout=10)
        self._log.close()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory):
    running = RunningRegistry(tmp_path_factory.mktemp("registry"))
    yield running.host
    running.stop()
