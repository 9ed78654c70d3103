"""Parses a scrape on standard input with prometheus_client's parser of the format named, and prints it as JSON."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text

CONSTANT = ("model", "version")


def series(sample):
    labels = sorted((k, v) for k, v in sample.labels.items() if k not in CONSTANT)
    return " ".join([sample.name, *(f"{k}={v}" for k, v in labels)])


parse = {"text": text, "openmetrics": open_metrics}[sys.argv[1]]
families = {}
for family in parse(sys.stdin.buffer.read().decode()):
    assert family.name not in families, f"{family.name} is there twice"
    families[family.name] = {
        "type": family.type,
        "unit": family.unit,
        "help": family.documentation,
        "samples": {series(s): s.value for s in family.samples},
        "exemplars": {series(s): s.exemplar.labels for s in family.samples if s.exemplar},
        "constant": {k: v for s in family.samples for k, v in s.labels.items() if k in CONSTANT},
    }
    assert len(families[family.name]["samples"]) == len(family.samples), f"{family.name} has a series twice"
json.dump(families, sys.stdout)
