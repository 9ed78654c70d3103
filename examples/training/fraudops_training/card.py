"""The model card: what the model is for, what it was measured on, and what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from .parity import Parity

SCENARIOS = {
    "1": "amount above 220",
    "2": "compromised terminal (28 days)",
    "3": "stolen card data (14 days, amounts times 5)",
}


def summary(values: dict) -> str:
    """Three lines for the ONNX file's own description."""
    model, metrics, data = values["model"], values["metrics"], values["trainingData"]
    return (
        f"{model['name']} {model['version']} ({model['algorithm']}): probability that a card transaction is fraud.\n"
        f"Trained on {data['from']}/{data['to']}, tested on {_period(metrics, 'test')}: AUC {metrics['auc']:.3f}, "
        f"AP {metrics['ap']:.3f}, card precision@100 {metrics['cp100']:.3f} of {metrics['cp100Ceiling']:.3f}.\n"
        "Simulated data. The score is not calibrated."
    )


def render(values: dict, measures: dict, parity: Parity | None = None, pictures: Sequence[str] = ()) -> str:
    """The card as Markdown, from the metadata of the file and what was measured."""
    model, data, metrics = values["model"], values["trainingData"], values["metrics"]
    lines = [
        f"# {model['name']} {model['version']}",
        "",
        f"{model['algorithm']}, made {model['createdAt'][:10]} by {model['trainer']}. Licence {model['licence']}."
        + (f" Source revision `{model['git']}`." if model.get("git") else ""),
        "",
        "## Use",
        "",
        "Scores one card transaction at a time, for a decision of approve, review or block. The input is the",
        "15 features of the Fraud Detection Handbook; the output is the probability of fraud in `probabilities`,",
        "column 1. A block is a decision about a person: keep a band of scores that people review.",
        "",
        "## Data",
        "",
        f"- Trained on {data['from']}/{data['to']}: {data['rows']:,} rows, {data['frauds']:,} of them fraud.",
        f"- Labels known {data['delayDays']} days late; the delay period {_period(metrics, 'delay')} gave the "
        "reference histogram.",
        f"- Tested on {_period(metrics, 'test')}: {measures['rows']:,} rows, "
        f"{measures['frauds'] / measures['rows']:.2%} fraud. Cards already known to be",
        "  compromised are left out, as they would be blocked by then.",
        f"- Data file sha256 `{data['sha256']}`.",
        "",
        "## Results on the test period",
        "",
        "| measure | value |",
        "|---|---|",
        f"| AUC ROC | {measures['auc']:.3f} |",
        f"| average precision | {measures['ap']:.3f} (95 % of draws of the customers: "
        f"{measures['apInterval'][0]:.3f} to {measures['apInterval'][1]:.3f}) |",
        f"| card precision@100 | {measures['cp100']:.3f} (a perfect ranking gets {measures['cp100Ceiling']:.3f}) |",
        f"| expected frauds (sum of scores) for one observed | {measures['calibration']['ratio']:.2f} |",
        f"| Brier score | {measures['calibration']['brier']:.5f} |",
        "",
        *_decisions(measures["decisions"]),
        *_recall_table(measures["decisions"]),
        *(line for name in pictures for line in (f"![{_title(name)}]({name})", "")),
        *_export(parity),
        "## Limits",
        "",
        "- One generator of simulated data: stationary, and without an opponent who adapts.",
        "- The score ranks; it is not a calibrated probability.",
        "- Missing or infinite inputs are refused, never guessed.",
        "- A new compromised terminal is invisible until its first labels arrive, a week later.",
        "",
    ]
    return "\n".join(lines)


def _period(metrics: dict, name: str) -> str:
    """The period of that name out of `train A/B, delay C/D, test E/F`."""
    return dict(part.split(" ", 1) for part in metrics["split"].split(", "))[name]


def _decisions(decisions: dict) -> list[str]:
    rows = [
        f"| `{name}` ({made['threshold']:g}) | {made['alertRate']:.2%} | {made['precision']:.2f} "
        f"| {made['recall']:.2f} |"
        for name, made in decisions.items()
    ]
    return ["| at or above | share of transactions | precision | recall |", "|---|---|---|---|", *rows, ""]


def _recall_table(decisions: dict) -> list[str]:
    codes = sorted({code for made in decisions.values() for code in made["recallByScenario"]})
    if not codes:
        return []
    head = "| fraud scenario | " + " | ".join(f"recall at `{name}`" for name in decisions) + " |"
    rows = [
        f"| {code}: {SCENARIOS.get(code, 'unnamed')} | "
        + " | ".join(f"{made['recallByScenario'].get(code, 0):.2f}" for made in decisions.values())
        + " |"
        for code in codes
    ]
    return [head, "|---" * (len(decisions) + 1) + "|", *rows, ""]


def _export(parity: Parity | None) -> list[str]:
    if parity is None:
        return []
    return [
        "## Export",
        "",
        f"ONNX Runtime against the original model on {parity.rows:,} rows: largest difference "
        f"{parity.max_difference:.1e}, decision flips {sum(parity.flips.values())}.",
        "",
    ]


def _title(picture: str) -> str:
    return picture.rsplit("/", 1)[-1].removesuffix(".png").replace("-", " ")
