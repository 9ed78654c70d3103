"""The simulator and the scorer are called as programs; both are stood in for by small scripts where they fail."""

import resource
from pathlib import Path

import pytest
from conftest import TRAIN_OPTIONS

from fraudops_training.cli import main


@pytest.fixture(autouse=True)
def no_programs(monkeypatch, tmp_path):
    for name in ("FRAUDOPS_SIMULATOR", "FRAUDOPS_SCORER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def program(folder: Path, name: str, body: str) -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def test_a_missing_simulator_says_where_it_may_be(tmp_path, capsys):
    assert main(["simulate", "--out", str(tmp_path / "t.parquet")]) == 1
    message = capsys.readouterr().err
    assert "fraudops-simulator was not found: give --simulator, set FRAUDOPS_SIMULATOR, or put it on PATH" in message
    assert main(["simulate", "--out", "t.parquet", "--simulator", "/none"]) == 1
    assert "--simulator /none: no program" in capsys.readouterr().err


def test_options_reach_the_simulator_wherever_it_is(tmp_path, monkeypatch):
    simulator = program(
        tmp_path, "fraudops-simulator", f'echo "$@" > {tmp_path}/said; for last; do :; done; : > "$last"'
    )
    out = tmp_path / "t.parquet"
    for place in ("path", "flag", "variable"):
        options = ["--simulator", str(simulator)] if place == "flag" else []
        if place == "variable":
            monkeypatch.setenv("FRAUDOPS_SIMULATOR", str(simulator))
        assert main(["simulate", "--out", str(out), "--days", "9", "--seed", "3", *options]) == 0
        assert (tmp_path / "said").read_text().split() == [
            "generate", "--features", "--days", "9", "--seed", "3", "--out", str(out)
        ]  # fmt: skip


def test_what_the_simulator_says_is_passed_on(tmp_path, capsys):
    program(tmp_path, "fraudops-simulator", "echo 'error: --customers must be above 0' >&2; exit 2")
    assert main(["simulate", "--out", str(tmp_path / "t.parquet")]) == 1
    assert "fraudops-simulator ended with 2: error: --customers must be above 0" in capsys.readouterr().err


@pytest.mark.parametrize("verdict", [0, 1])
def test_the_scorer_has_the_last_word(verdict, data, tmp_path, capsys):
    scorer = program(
        tmp_path, "fraudops-scorer", f'test -s "$2" || exit 9; echo "no model of mine" >&2; exit {verdict}'
    )
    options = ["--version", "1", "--out", str(tmp_path / "out"), "--parity-rows", "1000", "--scorer", str(scorer)]
    assert main(["train", "--model", "dt", "--data", str(data), *options, *TRAIN_OPTIONS]) == verdict
    assert (tmp_path / "out").exists() == (not verdict)
    if verdict:
        assert "fraudops-scorer check ended with 1: no model of mine" in capsys.readouterr().err


def test_a_disk_that_takes_no_more_leaves_nothing_under_a_final_name(data, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--version", "1", "--out", str(out), "--parity-rows", "1000"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, hard))
    try:
        assert main(["train", "--data", str(data), *options, *TRAIN_OPTIONS]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"--out {out}: File too large" in capsys.readouterr().err
    assert list(out.iterdir()) == []
