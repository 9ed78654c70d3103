"""examples/models/README.md: the catalogue for people, and what was measured of each file."""

from __future__ import annotations

from collections.abc import Sequence

from .gates import PSI_LIMIT, PSI_ROWS

GATES = {
    "promote": "none: it should be promoted",
    "load": "the load check, before any traffic",
    "retention": "retention: it loses alerts of the stable model",
    "newAlerts": "new alerts: it alerts where the stable model does not",
    "errorRatio": "errors, after 500 requests",
    "slowRatio": "slow answers, after 500 requests",
}

HEAD = """\
<!-- Made by `make models`; edit examples/training/fraudops_training/catalogue.py instead. -->
# Models, good and bad

Candidates for a rollout. The good ones should be promoted; each bad one has a realistic mistake, and a rollout should
stop it. `make models` trains all of them again from the simulator's seed 0 (a minute); the same versions give the
same models. `catalogue.json` says all of this to programs.

The stable model is `v2-xgboost`, in shadow: both score the same transactions of the test week (2018-08-08 to 14), and
an alert is a score of at least 0.5.

| column | is |
|---|---|
| AP | average precision on the sample of that week; the cards that were known by then are in it |
| reported | what the file says of itself, on the week without those cards |
| recall | share of the frauds with a score of at least 0.5 |
| alert ratio | alerts of the candidate for one of the stable model |
| retention | share of the stable model's alerts that the candidate has too |
| new | its other alerts, for one alert of the stable model |
| PSI | its scores against the histogram in its own file |
| seen after | median number of transactions until one of these gates fails it, at one false alarm in 100 rollouts: \
retention below 0.7, new alerts above 0.5, alert ratio outside 1/2 to 2; a dash is not within 60,000 |

"""

TAIL = """\
## How the files are used

`examples/training/tests/test_catalogue.py` loads each file in ONNX Runtime and measures on `sample.parquet` that it
does the wrong that is said here. The sample holds every fraud of the test week, every row that the stable model scores
at least 0.02, and 3,000 others, which stand for the rest by their weight.

The gates are those that a rollout can have; which of them this version of the operator has is in
[docs/rollouts.md](../../docs/rollouts.md). The load check is `fraudops-scorer check FILE`.
"""


def page(index: Sequence[dict]) -> str:
    """The page for what `catalogue_files` measured."""
    good = [entry for entry in index if entry["gate"] == "promote"]
    bad = [entry for entry in index if entry["gate"] != "promote"]
    return "\n".join(
        [HEAD + "## Good", "", *_table(good), "", "## Bad", "", *_table(bad), "", *map(_note, bad), TAIL.rstrip(), ""]
    )


def _table(entries: Sequence[dict]) -> list[str]:
    return [
        "| file | is | KiB | AP | reported | recall | alert ratio | retention | new | PSI | seen after |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *map(_line, entries),
    ]


def _line(entry: dict) -> str:
    measured = entry["measured"]
    names = ("ap", "reported", "recall", "alertRatio", "retention", "newAlerts", "selfPsi")
    numbers = [_number((measured | {"reported": entry["reported"]}).get(name)) for name in names]
    cells = [
        f"`{entry['name']}.onnx`",
        f"{entry['title']}, {entry['version']}",
        f"{entry['bytes'] / 1024:.0f}",
        *numbers,
        _seen(entry),
    ]
    return f"| {' | '.join(cells)} |"


def _seen(entry: dict) -> str:
    counts = {name: count for name, count in entry["transactions"].items() if count is not None}
    if not counts:
        return "-"
    first = min(counts, key=counts.get)
    return f"{counts[first]:,}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2f}"


def _note(entry: dict) -> str:
    extra = ""
    measured = entry["measured"]
    if "milliseconds" in measured:
        extra = f" One row alone takes {measured['milliseconds']:.0f} ms of one core."
    elif measured["invalid"]:
        extra = f" {measured['invalid']:.1%} of the rows have no score."
    elif measured["selfPsi"] > PSI_LIMIT:
        extra = (
            f" Its scores also leave the histogram in the file (PSI {measured['selfPsi']:.1f}) within {PSI_ROWS} rows."
        )
    wrong = entry["wrong"][0].upper() + entry["wrong"][1:]
    when = entry["transactions"].get(entry["gate"])
    after = f", after about {when:,} transactions" if when else ""
    return f"- **`{entry['name']}`**: {wrong}.{extra} Seen by {GATES[entry['gate']]}{after}.\n"
