"""What comes out of the chart."""

import re
from pathlib import Path

import pytest
import yaml

import values_table
from conftest import CHART, CHARTS, SETS, Refused, helm, one, render, render_text, value_set

DIGEST = "sha256:" + "0123456789abcdef" * 4


def names(objects: list[dict]) -> list[str]:
    return sorted(f"{o['kind']}/{o['metadata'].get('namespace', '')}/{o['metadata']['name']}" for o in objects)


def environment(objects: list[dict]) -> dict[str, str]:
    container = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable.get("value", "") for variable in container["env"]}


@pytest.mark.parametrize("name", SETS)
def test_lint_finds_nothing(name):
    helm("lint", "--strict", str(CHART), "--values", str(Path(__file__).parent / "values" / f"{name}.yaml"))


def test_the_default_install_is_these_objects():
    assert names(render({})) == [
        "ClusterRole//fraudops-edit",
        "ClusterRole//fraudops-operator",
        "ClusterRole//fraudops-view",
        "ClusterRoleBinding//fraudops-operator",
        "CustomResourceDefinition//fraudmodels.fraudops.dev",
        "Deployment/fraudops-system/fraudops-operator",
        "NetworkPolicy/fraudops-system/fraudops-operator",
        "PodDisruptionBudget/fraudops-system/fraudops-operator",
        "Role/fraudops-system/fraudops-operator-lease",
        "RoleBinding/fraudops-system/fraudops-operator-lease",
        "ServiceAccount/fraudops-system/fraudops-operator",
    ]


def test_the_namespaced_install_has_no_cluster_wide_object():
    assert names(render(value_set("namespaced"))) == [
        "Deployment/fraudops-system/fraudops-operator",
        "NetworkPolicy/fraudops-system/fraudops-operator",
        "PodDisruptionBudget/fraudops-system/fraudops-operator",
        "Role/cards/fraudops-operator",
        "Role/fraudops-system/fraudops-operator-lease",
        "Role/payments/fraudops-operator",
        "RoleBinding/cards/fraudops-operator",
        "RoleBinding/fraudops-system/fraudops-operator-lease",
        "RoleBinding/payments/fraudops-operator",
        "ServiceAccount/fraudops-system/fraudops-operator",
    ]


def test_what_somebody_else_makes_is_left_out():
    objects = render(value_set("bare"))
    assert names(objects) == ["Deployment/fraudops-system/fraudops-operator"]
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "existing"
    with pytest.raises(Refused, match="serviceAccount.name is needed"):
        render({"serviceAccount": {"create": False}})


def test_every_value_has_an_effect():
    full = value_set("full")
    before = render_text(full)
    masked = {"nameOverride", "rbac"}  # without effect beside fullnameOverride and watchNamespaces
    for key in full.keys() - masked:
        reduced = {k: v for k, v in full.items() if k != key}
        assert render_text(reduced) != before, key
    assert "Deployment/fraudops-system/fraudops-scoring-operator" in names(render({"nameOverride": "scoring"}))
    assert "ClusterRole//fraudops-view" not in names(render({"rbac": {"aggregate": False}}))


def test_the_digest_wins_over_the_tag():
    for image, expected in [
        ({}, ":0.1.0"),
        ({"tag": "1.2.3"}, ":1.2.3"),
        ({"tag": "1.2.3", "digest": DIGEST}, f"@{DIGEST}"),
    ]:
        pod = one(render({"image": image}), "Deployment")["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == f"ghcr.io/fraudops/operator{expected}"


def test_the_environment_names_only_what_the_program_knows():
    source = (CHARTS.parent / "operator/src/cli.rs").read_text()
    known = set(re.findall(r'env = "(FRAUDOPS_\w+)"', source))
    ours = {name for name in environment(render(value_set("full"))) if name.startswith("FRAUDOPS_")}
    assert ours and ours <= known, ours - known


def test_settings_reach_the_program():
    variables = environment(render(value_set("full")))
    assert variables["FRAUDOPS_WATCH_NAMESPACES"] == "payments"
    assert variables["FRAUDOPS_SCORER_IMAGE"] == "registry.example/mirror/fraudops/scorer:9.9.9"
    assert variables["FRAUDOPS_INSECURE_REGISTRIES"] == "10.0.0.1:5000,registry.test"
    public = "edge:app.kubernetes.io/name=traefik,app.kubernetes.io/instance=public"
    assert variables["FRAUDOPS_TRAEFIK_SELECTOR"] == public
    assert variables["FRAUDOPS_MONITORING_SELECTOR"] == "observability:"
    assert variables["FRAUDOPS_LEASE_DURATION"] == "30s"
    assert variables["FRAUDOPS_LOG_FORMAT"] == "text"
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.observability:4317"
    assert variables["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"


def test_the_neighbours_are_those_that_the_program_would_take_itself():
    source = (CHARTS.parent / "operator/src/cli.rs").read_text()
    variables = environment(render({}))
    for name in ("FRAUDOPS_TRAEFIK_SELECTOR", "FRAUDOPS_MONITORING_SELECTOR"):
        (default,) = re.findall(rf'env = "{name}".*?default_value = "([^"]+)"', source)
        assert variables[name] == default


def test_the_operator_carries_the_label_by_which_scorer_pods_let_it_in(rendered):
    labels = one(rendered, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "fraudops-operator"


def test_the_network_policy_opens_the_port_of_the_collector():
    def ports(objects):
        egress = one(objects, "NetworkPolicy")["spec"]["egress"]
        return [port["port"] for rule in egress for port in rule["ports"]]

    assert ports(render({})) == [53, 53, 443, 6443, 8010]
    assert ports(render(value_set("full"))) == [53, 53, 16443, 8010, 4317, 3128]


def test_the_definition_is_the_generated_one_and_is_kept():
    generated = CHARTS.parent / "crds/fraudmodels.yaml"
    assert (CHART / "files/fraudmodels.yaml").read_bytes() == generated.read_bytes(), "run `make crds`"
    expected = yaml.safe_load(generated.read_text())
    for keep in (True, False):
        crd = one(render({"crds": {"keep": keep}}), "CustomResourceDefinition")
        assert crd["spec"] == expected["spec"]
        assert (crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep") is keep


def test_notes_name_the_next_step():
    def notes(*flags):
        common = ["--namespace", "fraudops-system", "--dry-run=client", "--disable-openapi-validation"]
        return helm("install", "fraudops", str(CHART), *common, *flags).split("NOTES:")[1]

    text = notes()
    assert "rollout status deployment/fraudops-operator" in text
    assert "kind: FraudModel" in text and "namespace: default" in text
    assert "namespace: cards" in notes("--set", "watchNamespaces={cards}")
    assert "tests only" in notes("--set", "insecureRegistries={registry.test}")


def test_the_table_in_the_readme_is_current():
    assert (CHART / "README.md").read_text() == values_table.readme_with_table(), "charts/tests/run.sh --write-readme"


def test_every_object_carries_the_labels_and_the_pods_can_be_selected(rendered):
    for each in rendered:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "fraudops-operator", each["metadata"]["name"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
    spec = one(rendered, "Deployment")["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
