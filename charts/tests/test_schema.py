"""What the chart accepts and refuses."""

import copy
import json
import random

import pytest
import yaml

from conftest import CHART, Refused, render, value_set

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


def resolve(node: dict) -> dict:
    return SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def objects(node: dict, path: str = ""):
    """Every schema of an object, with its place."""
    if node.get("type") == "object":
        yield path, node
    for key, child in node.get("properties", {}).items():
        yield from objects(child, f"{path}.{key}")
    if "items" in node:
        yield from objects(node["items"], f"{path}[]")


def test_every_object_of_the_schema_is_closed():
    nodes = list(objects(SCHEMA)) + [pair for name, node in SCHEMA["$defs"].items() for pair in objects(node, name)]
    assert len(nodes) > 30
    for path, node in nodes:
        if path == ".global":  # Helm's own
            continue
        rest = node.get("additionalProperties", True)
        assert rest is False or (isinstance(rest, dict) and "type" in rest), f"{path} is open"


def test_every_value_has_a_default_and_every_default_is_known():
    known = set(SCHEMA["properties"]) - {"global"}
    assert known == set(DEFAULTS)


def places(values: dict, path: tuple = ()):
    yield path
    for key, value in values.items():
        if isinstance(value, dict):
            yield from places(value, (*path, key))


FREE = {"podLabels", "podAnnotations", "nodeSelector", "labels", "annotations"}


@pytest.mark.parametrize(
    "path", [p for p in places(DEFAULTS) if not FREE & set(p)], ids=lambda p: ".".join(p) or "root"
)
def test_an_unknown_key_is_refused_everywhere(path):
    values = inner = {}
    for key in path:
        inner[key] = {}
        inner = inner[key]
    inner["unknownKey"] = True
    with pytest.raises(Refused, match="unknownKey"):
        render(values)


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": -1},
        {"replicas": "two"},
        {"image": {"digest": "sha256:short"}},
        {"image": {"repository": "UPPER/case"}},
        {"image": {"pullPolicy": "Sometimes"}},
        {"watchNamespaces": "payments"},
        {"watchNamespaces": ["Payments"]},
        {"watchNamespaces": ["a", "a"]},
        {"insecureRegistries": ["http://registry.test"]},
        {"traefikSelector": ""},
        {"traefikSelector": "traefik"},
        {"traefikSelector": "Edge:a=b"},
        {"monitoringSelector": ["a=b"]},
        {"monitoringSelector": "a=b,"},
        {"leaseDuration": "15"},
        {"leaseDuration": 15},
        {"logFormat": "xml"},
        {"otlpEndpoint": "collector:4317"},
        {"otlpEndpoint": "http://collector"},
        {"resources": {"limits": {"gpu": 1}}},
        {"resources": {"limits": {"memory": "lots"}}},
        {"podLabels": {"bad key!": "x"}},
        {"tolerations": [{"keys": "x"}]},
        {"affinity": {"podAffinity": {"required": []}}},
        {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "ScheduleAnyway"}]},
        {"networkPolicy": {"apiServer": {"ports": [0]}}},
        {"networkPolicy": {"metricsFrom": [{}]}},
        {"env": [{"name": "A"}]},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(values):
    with pytest.raises(Refused, match="values don't meet the specifications"):
        render(values)


def mix(dice: random.Random) -> dict:
    """Some values of the full set, some switches thrown."""
    full = value_set("full")
    values = {key: copy.deepcopy(full[key]) for key in full if dice.random() < 0.5}
    for group, switch in [
        ("crds", "install"),
        ("rbac", "create"),
        ("podDisruptionBudget", "enabled"),
        ("networkPolicy", "enabled"),
    ]:
        if dice.random() < 0.3:
            values.setdefault(group, {})[switch] = dice.random() < 0.5
    return values


def test_any_mix_of_right_values_renders():
    dice = random.Random(7)
    for _ in range(100):
        values = mix(dice)
        kinds = {document["kind"] for document in render(values)}
        assert "Deployment" in kinds, values
