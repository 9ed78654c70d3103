"""Runs the notebooks from top to bottom, and renders them. Their source is text: `NN_name.py`."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import TrainingError
from .files import write_all
from .lab import data_file
from .progress import say

if TYPE_CHECKING:
    from nbformat import NotebookNode

PATTERN = "[0-9][0-9]_*.py"
SECONDS_FOR_A_CELL = 600
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run(folder: Path, names: Sequence[str], out: Path | None = None) -> None:
    """Executes notebooks, all of them before it complains of any; writes pages of those that ran to `out`."""
    chosen = find(folder, names)
    missing = [name for name in ("jupytext", "nbclient", "nbconvert", "ipykernel") if find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"not installed: {', '.join(missing)}; pip install --require-hashes -r requirements-notebooks.lock"
        )
    say(f"data: {data_file()}")
    began = time.monotonic()
    wrong = []
    for path in chosen:
        started = time.monotonic()
        try:
            notebook = execute(path)
        except TrainingError as error:
            wrong.append(path.name)
            say(f"{path.name}: FAILED after {time.monotonic() - started:.0f} s\n{error}\n")
            continue
        say(f"{path.name}: {time.monotonic() - started:.0f} s")
        if out:
            write_all(out, {f"{path.stem}.html": html(notebook, path.stem).encode()})
            print(out / f"{path.stem}.html")
    if wrong:
        raise TrainingError(f"{len(wrong)} of {len(chosen)} notebooks failed: {', '.join(wrong)}")
    say(f"{len(chosen)} notebooks in {time.monotonic() - began:.0f} s")


def find(folder: Path, names: Sequence[str]) -> list[Path]:
    """The notebooks of a folder in their order, or those that are named: `03`, `03_models` or `03_models.py`."""
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder")
    there = sorted(folder.glob(PATTERN))
    if not there:
        raise TrainingError(f"{folder}: no notebook in it (NN_name.py)")
    known = {name: path for path in there for name in (path.name[:2], path.stem, path.name)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise TrainingError(
            f"no notebook {', '.join(unknown)} in {folder}; there are {', '.join(p.stem for p in there)}"
        )
    return list(dict.fromkeys(known[name] for name in names)) if names else there


def execute(path: Path) -> NotebookNode:
    """The notebook with its outputs; an error that names the cell when one fails."""
    import jupytext
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    notebook = jupytext.read(path)
    if notebook.metadata.get("jupytext", {}).get("text_representation", {}).get("format_name") != "percent":
        raise TrainingError(f"{path}: no header of jupytext's percent format; copy it from another notebook")
    with tempfile.TemporaryDirectory() as sockets:
        # Not over TCP, where another user of the machine could listen.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        client = NotebookClient(notebook, config=config, timeout=SECONDS_FOR_A_CELL, kernel_name="python3")
        client.resources = {"metadata": {"path": str(path.parent)}}
        try:
            return client.execute(env=os.environ | ONE_THREAD)
        except CellExecutionError as error:
            raise TrainingError(f"{_where(path, notebook)}\n{error.ename}: {error.evalue}") from error
        except (CellTimeoutError, DeadKernelError, RuntimeError) as error:
            raise TrainingError(f"{_where(path, notebook)}\n{error}") from error


def html(notebook: NotebookNode, title: str) -> str:
    """One page that asks no other server for anything."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True, mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return body


def _where(path: Path, notebook: NotebookNode) -> str:
    """The last cell that began: its number, its line in the file, and its code."""
    began = [
        (number, cell)
        for number, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code" and ("iopub.status.busy" in cell.metadata.get("execution", {}) or cell.outputs)
    ]
    if not began:
        return f"{path.name}, before its first cell"
    number, cell = began[-1]
    line = path.read_text(encoding="utf-8").partition(cell.source)[0].count("\n") + 1
    code = "\n".join(f"    {line}" for line in cell.source.splitlines())
    return f"{path.name}, cell {number} (line {line}):\n{code}"
