"""The table of values in the chart's README, made from values.yaml (defaults) and values.schema.json (descriptions)."""

import json
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).parent.parent / "fraudops"
START, END = "<!-- values -->\n", "<!-- /values -->\n"


def rows(schema: dict, defaults: dict, prefix: str = ""):
    """One row for each value that is set as a whole: a leaf, or an object with a description of its own."""
    for key, default in defaults.items():
        field = schema["properties"][key]
        resolved = ROOT["$defs"][field["$ref"].rsplit("/", 1)[1]] if "$ref" in field else field
        description = field.get("description") or resolved.get("description")
        if isinstance(default, dict) and "properties" in resolved and not description:
            yield from rows(resolved, default, f"{prefix}{key}.")
        else:
            if not description:
                raise SystemExit(f"{prefix}{key} has no description in values.schema.json")
            shown = json.dumps(default, ensure_ascii=False).replace("|", "\\|")
            yield f"| `{prefix}{key}` | `{shown}` | {description} |"


ROOT = json.loads((CHART / "values.schema.json").read_text())


def table() -> str:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    return "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows(ROOT, defaults)]) + "\n"


def readme_with_table() -> str:
    head, rest = (CHART / "README.md").read_text().split(START, 1)
    return head + START + table() + END + rest.split(END, 1)[1]


if __name__ == "__main__" and "--write" in sys.argv:
    (CHART / "README.md").write_text(readme_with_table())
