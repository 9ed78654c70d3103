"""The YAML file of a pipeline: read, checked field by field, and with its defaults filled in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from .algorithms import Algorithm, Setting, named
from .arguments import NAME, VERSION
from .errors import TrainingError
from .modelpack import Reference
from .parity import MIN_ROWS
from .split import Protocol

_SHARE = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
_COUNT = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string", "minLength": 1}
_COST = {"type": "number", "minimum": 0}
_DATE = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}


def _object(required: tuple[str, ...] = (), **properties: dict) -> dict:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


SCHEMA = _object(
    ("version", "data"),
    name={"type": "string", "pattern": f"^{NAME.pattern}$"},
    version={"type": "string", "pattern": f"^{VERSION.pattern}$"},
    licence=_TEXT,
    createdAt=_TEXT,
    data={
        **_object(
            file=_TEXT,
            simulate=_object(
                customers=_COUNT,
                terminals=_COUNT,
                days=_COUNT,
                start=_DATE,
                radius={"type": "number", "exclusiveMinimum": 0},
                seed={"type": "integer", "minimum": 0},
            ),
            simulator=_TEXT,
        ),
        "minProperties": 1,
    },
    split=_object(trainFrom=_DATE, days=_COUNT, delay=_COUNT, testDays=_COUNT),
    model=_object(
        kind=_TEXT,
        settings={"type": "object"},
        grid={"type": "object", "additionalProperties": {"type": "array", "minItems": 1}},
    ),
    validation=_object(folds=_COUNT),
    thresholds=_object(
        review=_SHARE,
        block=_SHARE,
        reviewRate=_SHARE,
        blockRate=_SHARE,
        reviewCost=_COST,
        falseBlockCost=_COST,
    ),
    export=_object(parityRows=_COUNT, scorer=_TEXT),
    push=_object(("reference",), reference=_TEXT, plainHttp={"type": "boolean"}),
)

PAIRS = (("review", "block"), ("reviewRate", "blockRate"), ("reviewCost", "falseBlockCost"))
"""The three ways to say where the thresholds are."""


@dataclass(frozen=True)
class Config:
    """A pipeline. `text` is the file as it was written; it goes into the run folder."""

    text: str
    folder: Path
    name: str
    version: str
    licence: str
    created_at: dt.datetime | None
    data: dict
    protocol: Protocol
    algorithm: Algorithm
    settings: dict[str, Setting]
    grid: dict[str, list[Setting]]
    folds: int
    thresholds: dict[str, float]
    parity_rows: int
    scorer: Path | None
    push: dict | None


def read(path: Path) -> Config:
    """Reads a file; an error names it, the field and what is wrong. Paths in it are relative to its folder."""
    try:
        text = path.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise TrainingError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if document is None:
        raise TrainingError(f"{path}: empty; at least version and data are needed")
    try:
        return _config(text, path.parent, _plain(document))
    except TrainingError as error:
        raise TrainingError(f"{path}: {error}") from error


def _plain(value: object) -> object:
    """YAML makes dates of what looks like one; here they are text until they are checked."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def _config(text: str, folder: Path, document: object) -> Config:
    for error in sorted(Draft202012Validator(SCHEMA).iter_errors(document), key=lambda e: list(map(str, e.path))):
        where = ".".join(map(str, error.path)) or "the file"
        raise TrainingError(f"{where}: {error.message}")
    model, export = document.get("model", {}), document.get("export", {})
    algorithm = _field("model.kind", lambda: named(model.get("kind", "xgb")))
    return Config(
        text=text,
        folder=folder,
        name=document.get("name", "card-fraud"),
        version=document["version"],
        licence=document.get("licence", "Apache-2.0"),
        created_at=_instant(document.get("createdAt")),
        data=_data(document["data"]),
        protocol=_protocol(document.get("split", {})),
        algorithm=algorithm,
        settings=_settings(algorithm, model.get("settings", {}), "model.settings"),
        grid=_grid(algorithm, model.get("grid", {})),
        folds=document.get("validation", {}).get("folds", 4),
        thresholds=_thresholds(document.get("thresholds", {"review": 0.1, "block": 0.5})),
        parity_rows=export.get("parityRows", MIN_ROWS),
        scorer=folder / export["scorer"] if "scorer" in export else None,
        push=_push(document.get("push")),
    )


def _data(data: dict) -> dict:
    if ("file" in data) == ("simulate" in data):
        raise TrainingError("data: give either file or simulate")
    return data


def _protocol(split: dict) -> Protocol:
    start = _field("split.trainFrom", lambda: dt.date.fromisoformat(split.get("trainFrom", "2018-07-25")))
    return Protocol(start, split.get("days", 7), split.get("delay", 7), split.get("testDays", 7))


def _settings(algorithm: Algorithm, given: dict, where: str) -> dict[str, Setting]:
    for name, value in given.items():
        if name not in algorithm.defaults:
            raise TrainingError(f"{where}.{name}: {algorithm.name} has {', '.join(algorithm.defaults)}")
        _check_setting(f"{where}.{name}", value, algorithm.defaults[name])
    return algorithm.defaults | {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}


def _check_setting(where: str, value: object, example: Setting) -> None:
    """A whole number stays one, a list of layers stays a list, and all are above zero."""
    numbers = value if isinstance(value, list) and isinstance(example, tuple) else [value]
    kinds = (int, float) if isinstance(example, float) else (int,)
    if not numbers or any(isinstance(n, bool) or not isinstance(n, kinds) or n <= 0 for n in numbers):
        wanted = "numbers" if isinstance(example, tuple) else "a number"
        whole = "" if isinstance(example, float) else "whole "
        raise TrainingError(f"{where}: {value!r} is not {wanted.replace('number', f'{whole}number')} above 0")
    if isinstance(example, tuple) and not isinstance(value, list):
        raise TrainingError(f"{where}: {value!r} is not a list")


def _grid(algorithm: Algorithm, grid: dict) -> dict[str, list[Setting]]:
    ready: dict[str, list[Setting]] = {}
    for name, values in grid.items():
        for value in values:
            ready.setdefault(name, []).append(_settings(algorithm, {name: value}, "model.grid")[name])
    return ready


def _thresholds(given: dict) -> dict[str, float]:
    for pair in PAIRS:
        if set(given) == set(pair):
            first, second = (given[name] for name in pair)
            if pair == PAIRS[0] and first > second:
                raise TrainingError(f"thresholds.review: {first:g} is above thresholds.block {second:g}")
            if pair == PAIRS[1] and first < second:
                raise TrainingError(f"thresholds.reviewRate: {first:g} is below thresholds.blockRate {second:g}")
            return given
    raise TrainingError("thresholds: give " + ", or ".join(" and ".join(pair) for pair in PAIRS))


def _push(given: dict | None) -> dict | None:
    """Looked at before anything is fitted: a reference that nobody can push to is not worth an hour."""
    if given is None:
        return None
    reference = _field("push.reference", lambda: Reference.parse(given["reference"]))
    return {"reference": reference, "plain_http": given.get("plainHttp", False)}


def _instant(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    value = _field("createdAt", lambda: dt.datetime.fromisoformat(text))
    return value.replace(tzinfo=value.tzinfo or dt.UTC).astimezone(dt.UTC)


def _field(where: str, make: object) -> object:
    try:
        return make()
    except (TrainingError, ValueError) as error:
        raise TrainingError(f"{where}: {error}") from error
