"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import TrainingError


def write_all(folder: Path, files: dict[str, bytes], option: str = "--out") -> None:
    """Writes the files beside their place, and renames them when all are on the disk; the last one is renamed last.

    A full disk or a signal leaves what was there before. Not guaranteed: that two writers do not mix their files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as staging:
            for name, data in files.items():
                write_through(Path(staging) / name, data)
            for name in files:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (Path(staging) / name).replace(target)
    except OSError as error:
        raise TrainingError(f"{option} {folder}: {error.strerror}") from error


def write_folder(folder: Path, files: dict[str, bytes], option: str = "--out") -> None:
    """Writes a folder that is new, with everything in it, or nothing."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as staging:
            whole = Path(staging) / "whole"
            for name, data in files.items():
                write_through(whole / name, data)
            whole.rename(folder)
    except OSError as error:
        raise TrainingError(f"{option} {folder}: {error.strerror}") from error


def write_through(path: Path, data: bytes) -> None:
    """Writes to the disk itself: a disk that is full says so here, and not when the name is already there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
