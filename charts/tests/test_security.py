"""Rights and hardening: our own rules, then checkov's and Kubernetes' own schemas."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import SETS, one, render, value_set

BIN = Path(sys.executable).parent
# Thirteen kinds of children with five verbs each; twelve for models, events, endpoints, pods and receipt keys.
MOST_GRANTS = 77


def grants(objects: list[dict], kinds: set[str], only: str | None = None) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of the roles of these kinds."""
    found = set()
    for role in objects:
        if role["kind"] in kinds and only in (None, role["metadata"]["name"]):
            for rule in role["rules"]:
                for group in rule["apiGroups"]:
                    found |= {(group, resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
    return found


def test_the_rights_are_few_and_listed():
    everything = grants(render({}), {"ClusterRole", "Role"})
    assert not [grant for grant in everything if "*" in grant]
    assert not [grant for grant in everything if grant[1] in {"pods/exec", "nodes"}]
    of_config_maps = {grant[2] for grant in everything if grant[1] == "configmaps"}
    assert of_config_maps == {"list", "watch", "create", "patch", "delete"}
    assert {grant[2] for grant in everything if grant[1] == "pods"} == {"list", "patch"}
    assert [grant for grant in everything if grant[1] == "secrets"] == [("", "secrets", "create")]
    assert not [grant for grant in everything if grant[2] in {"bind", "escalate", "impersonate"}]
    assert not [grant for grant in everything if grant[0] == "rbac.authorization.k8s.io"]
    cluster_wide = grants(render({}), {"ClusterRole"}, "fraudops-operator")
    print(f"cluster-wide grants: {len(cluster_wide)}")
    assert 0 < len(cluster_wide) <= MOST_GRANTS


def test_both_kinds_of_install_give_the_same_rights_on_models():
    cluster_wide = grants(render({}), {"ClusterRole"}, "fraudops-operator")
    assert grants(render(value_set("namespaced")), {"Role"}, "fraudops-operator") == cluster_wide


def test_the_roles_are_bound_to_the_account_of_the_pods(rendered):
    account = one(rendered, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    for binding in (each for each in rendered if each["kind"].endswith("RoleBinding")):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "fraudops-system"}]


def test_the_pods_fulfil_the_restricted_standard(rendered):
    pod = one(rendered, "Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] >= 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= container.keys()
    (token,) = [
        s["serviceAccountToken"] for s in pod["volumes"][0]["projected"]["sources"] if "serviceAccountToken" in s
    ]
    assert token["expirationSeconds"] <= 3600


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """The renders as files, without the CRD and the monitors, which the tools have no schema for."""
    folder = tmp_path_factory.mktemp("renders")
    for name in SETS:
        known = [
            o for o in render(value_set(name)) if "monitor" not in o["apiVersion"] and "apiext" not in o["apiVersion"]
        ]
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(known))
    return folder


def test_checkov_finds_nothing_and_skips_nothing(files):
    # `bare` leaves NetworkPolicy and rights to somebody else, which checkov holds against it.
    chosen = [str(files / f"{name}.yaml") for name in SETS if name != "bare"]
    command = [
        str(BIN / "checkov"),
        "--framework",
        "kubernetes",
        "--skip-download",
        "--output",
        "json",
        "--file",
        *chosen,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, env={**os.environ, "LOG_LEVEL": "ERROR"})
    report = json.loads(done.stdout)
    failed = [f"{c['check_id']} {c['check_name']}: {c['resource']}" for c in report["results"]["failed_checks"]]
    print(f"checkov: {report['summary']}")
    assert failed == []
    assert report["summary"]["passed"] > 100
    assert report["summary"]["skipped"] == 0 and report["summary"]["parsing_errors"] == 0


@pytest.mark.parametrize("version", ["1.33", "1.35", "1.37"])
def test_kubernetes_own_schemas_accept_every_object(files, version):
    chosen = [str(files / f"{name}.yaml") for name in SETS]
    command = [str(BIN / "kubernetes-validate"), "-k", version, "--strict", *chosen]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
