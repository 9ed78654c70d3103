"""The model card: what the model is for, what it was measured on, and what it cannot do."""

from __future__ import annotations

from .metadata import Identity
from .metrics import Evaluation
from .parity import Parity
from .split import Period

SCENARIOS = {
    1: "amount above 220",
    2: "compromised terminal (28 days)",
    3: "stolen card data (14 days, amounts times 5)",
}


def summary(identity: Identity, evaluation: Evaluation, periods: tuple[Period, Period, Period]) -> str:
    """Three lines for the ONNX file's own description."""
    train, _, test = periods
    return (
        f"{identity.name} {identity.version} ({identity.algorithm}): probability that a card transaction is fraud.\n"
        f"Trained on {train}, tested on {test}: AUC {evaluation.auc:.3f}, AP {evaluation.ap:.3f}, "
        f"card precision@100 {evaluation.card_precision:.3f} of {evaluation.ceiling:.3f}.\n"
        "Simulated data. The score is not calibrated."
    )


def render(
    identity: Identity,
    evaluation: Evaluation,
    periods: tuple[Period, Period, Period],
    metadata: dict,
    parity: Parity,
    recall: dict[str, dict[int, float]],
) -> str:
    """The card as Markdown."""
    train, delay, test = periods
    data, metrics = metadata["trainingData"], metadata["metrics"]
    lines = [
        f"# {identity.name} {identity.version}",
        "",
        f"{identity.algorithm}, made {identity.created_at:%Y-%m-%d} by {identity.trainer}. "
        f"Licence {identity.licence}." + (f" Source revision `{identity.git}`." if identity.git else ""),
        "",
        "## Use",
        "",
        "Scores one card transaction at a time, for a decision of approve, review or block. The input is the",
        "15 features of the Fraud Detection Handbook; the output is the probability of fraud in `probabilities`,",
        "column 1. A block is a decision about a person: keep a band of scores that people review.",
        "",
        "## Data",
        "",
        f"- Trained on {train}: {data['rows']:,} rows, {data['frauds']:,} of them fraud.",
        f"- Labels known {data['delayDays']} days late; the delay period {delay} gave the reference histogram.",
        f"- Tested on {test}: {metrics['n']:,} rows, {metrics['fraudRate']:.2%} fraud. Cards already known to be",
        "  compromised are left out, as they would be blocked by then.",
        f"- Data file sha256 `{data['sha256']}`.",
        "",
        "## Results on the test period",
        "",
        "| measure | value |",
        "|---|---|",
        f"| AUC ROC | {evaluation.auc:.3f} |",
        f"| average precision | {evaluation.ap:.3f} |",
        f"| card precision@100 | {evaluation.card_precision:.3f} (a perfect ranking gets {evaluation.ceiling:.3f}) |",
        *(
            f"| share of transactions at or above `{name}` ({metadata['thresholds'][name]:g}) | {rate:.2%} |"
            for name, rate in metrics["alertRate"].items()
        ),
        "",
        *_recall_table(recall),
        "## Export",
        "",
        f"ONNX Runtime against the original model on {parity.rows:,} rows: largest difference "
        f"{parity.max_difference:.1e}, decision flips {sum(parity.flips.values())}.",
        "",
        "## Limits",
        "",
        "- One generator of simulated data: stationary, and without an opponent who adapts.",
        "- The score ranks; it is not a calibrated probability.",
        "- Missing or infinite inputs are refused, never guessed.",
        "- A new compromised terminal is invisible until its first labels arrive, a week later.",
        "",
    ]
    return "\n".join(lines)


def _recall_table(recall: dict[str, dict[int, float]]) -> list[str]:
    codes = sorted({code for rates in recall.values() for code in rates})
    if not codes:
        return []
    head = "| fraud scenario | " + " | ".join(f"recall at `{name}`" for name in recall) + " |"
    rows = [
        f"| {code}: {SCENARIOS.get(code, 'unnamed')} | "
        + " | ".join(f"{rates.get(code, 0):.2f}" for rates in recall.values())
        + " |"
        for code in codes
    ]
    return [head, "|---" * (len(recall) + 1) + "|", *rows, ""]
