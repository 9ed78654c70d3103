"""What the notebooks stand on. They themselves are run by tests/training.sh notebooks."""

from pathlib import Path

import pytest

from fraudops_training.cli import main
from fraudops_training.errors import TrainingError
from fraudops_training.lab import CACHE, DATA, claim, data_file
from fraudops_training.notebooks import find

FOLDER = Path(__file__).parent.parent / "notebooks"


@pytest.fixture
def simulator(tmp_path, monkeypatch):
    """Writes the options that it was given instead of transactions."""
    file = tmp_path / "fraudops-simulator"
    file.write_text('#!/bin/sh\nfor last; do :; done; echo "$@" > "$last"\n')
    file.chmod(0o755)
    monkeypatch.setenv("FRAUDOPS_SIMULATOR", str(file))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(DATA, raising=False)
    return file


def test_transactions_are_simulated_once_for_each_simulator(simulator, tmp_path, monkeypatch):
    small = data_file()
    assert small.read_text().split()[:8] == (
        ["generate", "--features", "--seed", "0", "--start", "2018-05-28", "--days", "100"]
    )
    small.write_text("kept")
    assert data_file().read_text() == "kept"
    monkeypatch.setenv(DATA, "full")
    assert data_file() != small
    simulator.write_text(simulator.read_text() + "# another\n")
    monkeypatch.setenv(DATA, "small")
    assert data_file().read_text() != "kept"
    assert not small.exists()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_file_of_ones_own_is_taken_as_it_is(simulator, tmp_path, monkeypatch):
    own = tmp_path / "own.parquet"
    monkeypatch.setenv(DATA, str(own))
    with pytest.raises(TrainingError, match=r"FRAUDOPS_NOTEBOOKS_DATA=.*own\.parquet: no such file"):
        data_file()
    own.touch()
    assert data_file() == own


@pytest.mark.parametrize("value", ["huge", "/tmp", "data.json"])  # noqa: S108
def test_another_size_is_refused(simulator, monkeypatch, value):
    monkeypatch.setenv(DATA, value)
    with pytest.raises(TrainingError, match=r"expected small, full, or a \.parquet file with features"):
        data_file()


def test_a_cache_that_cannot_be_made_is_named(simulator, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE, str(tmp_path / "file"))
    with pytest.raises(TrainingError, match=rf"{CACHE} .*file: "):
        data_file()


def test_a_claim_says_its_figure_or_ends_the_notebook(capsys):
    assert claim("recall", 0.5, 0.4, 0.6, noted=0.58) == 0.5
    assert capsys.readouterr().out == "holds: recall is 0.5 (at least 0.4 and at most 0.6; noted: 0.58)\n"
    for value, low, high in ((0.3, 0.4, 0.6), (0.7, 0.4, 0.6), (float("nan"), 0, 1)):
        with pytest.raises(AssertionError, match=r"recall is .*, and the notebook says at least"):
            claim("recall", value, low, high)


def test_notebooks_are_found_and_named():
    there = find(FOLDER, [])
    assert len(there) >= 8
    assert [path.name[:2] for path in there] == [f"{number:02}" for number in range(1, len(there) + 1)]
    assert find(FOLDER, ["02", "02_inputs", "02_inputs.py"]) == [FOLDER / "02_inputs.py"]


def test_a_folder_or_a_name_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["notebooks", "--folder", str(tmp_path / "none")]) == 1
    assert "none: no such folder" in capsys.readouterr().err
    assert main(["notebooks", "--folder", str(tmp_path)]) == 1
    assert f"{tmp_path}: no notebook in it" in capsys.readouterr().err
    assert main(["notebooks", "--folder", str(FOLDER), "01", "42_answers"]) == 1
    assert f"no notebook 42_answers in {FOLDER}; there are 01_transactions, 02_inputs" in capsys.readouterr().err


@pytest.mark.parametrize("path", find(FOLDER, []), ids=lambda path: path.stem)
def test_each_notebook_asks_and_answers(path):
    text = path.read_text()
    assert "format_name: percent" in text
    first, *_, last = text.split("# %%")[1:]
    assert first.startswith(" [markdown]\n# # ")
    assert "**" in first
    assert "?**" in first.replace("\n# ", " ")
    assert "## What was learned" in last
    assert path.stem in (FOLDER / "README.md").read_text()
    assert "claim(" in text
