"""The programs of this repository that the training calls: where they are, and what they answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .errors import TrainingError


def find(name: str, given: Path | None, option: str) -> Path:
    """The program by its option, by its variable (`FRAUDOPS_SIMULATOR`), or on PATH."""
    variable = name.upper().replace("-", "_")
    asked = given or os.environ.get(variable)
    if asked:
        if os.access(asked, os.X_OK) and Path(asked).is_file():
            return Path(asked)
        raise TrainingError(f"{option if given else variable} {asked}: no program")
    found = shutil.which(name)
    if not found:
        raise TrainingError(
            f"{name} was not found: give {option}, set {variable}, or put it on PATH; "
            f"`cargo build --release -p {name}` makes it"
        )
    return Path(found)


def simulate(out: Path, options: dict[str, object], given: Path | None = None) -> None:
    """Writes transactions with features. The simulator renames its file when it is whole."""
    program = find("fraudops-simulator", given, "--simulator")
    flags = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    _run([str(program), "generate", "--features", *flags, "--out", str(out)], "fraudops-simulator")


def scorer_check(model: Path, given: Path | None) -> None:
    """Asks the scorer itself whether it would serve the file."""
    program = find("fraudops-scorer", given, "--scorer")
    environment = {"ORT_DYLIB_PATH": str(_onnx_runtime()), **os.environ}
    _run([str(program), "check", str(model)], "fraudops-scorer check", environment)


def _run(command: list[str], name: str, environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)  # noqa: S603
    except OSError as error:
        raise TrainingError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise TrainingError(f"{name} ended with {done.returncode}: {' '.join(reason[-3:])}")


def _onnx_runtime() -> Path:
    """The library inside onnxruntime's wheel: the scorer loads the same one."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    return next(iter(sorted(folder.glob("libonnxruntime.so*"))), folder / "libonnxruntime.so")
