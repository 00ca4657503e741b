"""Kinds that come and go while the operator runs, and what it is not permitted to list."""

import json
import tempfile
from pathlib import Path

import pytest
from control_plane.conftest import apply_crd, started
from control_plane.operators import wait_until

from flamingo_operator.cluster.kinds import POD_MONITOR

GROUP = POD_MONITOR.group
REFUSED = "flamingo_operator_watch_refused"


def crd(kind):
    """Return the definition of a kind of Prometheus' operator, with any spec."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [version],
        },
    }


@pytest.fixture(scope="module")
def own_cluster():
    """Yield a control plane on which no other test's operator notices the kinds."""
    with tempfile.TemporaryDirectory(prefix="fd-") as folder, started(Path(folder) / "k") as made:
        apply_crd(made)
        yield made


@pytest.fixture(scope="module")
def control_plane(own_cluster):
    return own_cluster


def is_ready(operator):
    return operator.get("/health/ready")[0] == 200


def problems(operator):
    """Return why an operator is not ready: at least one reason."""
    return json.loads(operator.get("/health/ready")[1])["problems"]


def test_a_kind_that_is_installed_later_is_used_and_one_that_is_removed_is_forgotten(
    here, control_plane
):
    # Of the group, another kind is served.
    control_plane.output("create", "-f", "-", body=crd("ServiceMonitor"))
    operator = here.start("--no-leader-election", "--discovery-interval-s=1")
    here.create({"replicas": 1})
    here.wait_complete(1)
    assert is_ready(operator)
    assert operator.get("/health/live")[0] == 200
    control_plane.output("create", "-f", "-", body=crd("PodMonitor"))

    def monitors():
        done = control_plane.call("-n", here.namespace, "get", "podmonitors", "-o", "name")
        return done.stdout.split()

    wait_until(monitors, "it has a PodMonitor")
    control_plane.output("delete", "crd", f"podmonitors.{GROUP}")
    wait_until(lambda: "kind.not_served" in operator.log.read_text(), "it notices")
    here.change({"replicas": 2})
    here.wait_complete(2)
    assert here.reason("Accepted") == "Accepted"
    control_plane.output("create", "-f", "-", body=crd("PodMonitor"))
    wait_until(monitors, "it has one again")
    assert operator.get("/health/live")[0] == 200
    control_plane.output("delete", "crd", f"podmonitors.{GROUP}")


def test_a_namespace_that_cannot_be_listed_is_reported_and_the_others_are_looked_after(
    here, control_plane
):
    flags = ("--no-leader-election", "--resync-interval-s=1")
    later = f"{here.namespace}-x"
    operator = here.start(*flags, namespaces=f"{here.namespace},{later}")
    here.create({"replicas": 1})
    here.wait_complete(1)
    assert is_ready(operator)
    series = f'{REFUSED}{{kind="FlamingoDeployment",watched_namespace="{later}"}}'
    assert operator.metric(series) == 1
    control_plane.admit(later, here.namespace)
    wait_until(lambda: operator.metric(series) == 0, "it may list it now")
    control_plane.create(
        later, {**here.get("fd", "music"), "status": {}, "metadata": {"name": "b"}}
    )
    wait_until(lambda: "status" in control_plane.get(later, "fd", "b"), "it is looked after")
    control_plane.dismiss(later)
    wait_until(lambda: operator.metric(series) == 1, "it was deleted")
    here.change({"replicas": 2})
    here.wait_complete(2)
    assert is_ready(operator)
    assert operator.get("/health/live")[0] == 200


def test_an_operator_that_can_list_nothing_is_not_ready_and_says_why(here):
    operator = here.start("--no-leader-election", namespaces="nosuch-a,nosuch-b")
    wait_until(lambda: "resources.refused" in operator.log.read_text(), "it was refused")
    wait_until(lambda: "nosuch-a" in problems(operator)[0], "it says so, not only that it starts")
    assert operator.get("/health/ready")[0] == 503
    assert operator.get("/health/live")[0] == 200


def test_a_kind_that_is_forbidden_is_a_condition_and_the_rest_is_done(here, control_plane):
    role = here.get("role", "operator")
    rules = [one for one in role["rules"] if "networkpolicies" not in one["resources"]]
    here.patch("role", "operator", {"rules": rules})
    operator = here.start("--no-leader-election")
    here.create({"replicas": 1})
    wait_until(lambda: here.status().get("readyReplicas") == 1, "its server runs")
    assert here.reason("Accepted") == "KindUnavailable"
    assert is_ready(operator)
    assert here.get("networkpolicies")["items"] == []
    here.patch("role", "operator", {"rules": role["rules"]})
    wait_until(lambda: here.reason("Accepted") == "Accepted", "it may list them again")
    assert here.get("networkpolicies")["items"] != []


def test_a_deployment_whose_pods_cannot_be_listed_keeps_its_counts_and_says_why(here):
    first = here.start("--no-leader-election")
    here.create({"replicas": 1})
    here.wait_complete(1)
    first.stop()
    role = here.get("role", "operator")
    rules = [one for one in role["rules"] if "pods" not in one["resources"]]
    here.patch("role", "operator", {"rules": rules})
    second = here.start("--no-leader-election")
    wait_until(lambda: here.reason("Ready") == "Unobserved", "it says so")
    assert here.status()["readyReplicas"] == 1
    assert second.get("/health/ready")[0] == 503
    here.patch("role", "operator", {"rules": role["rules"]})
    here.wait_complete(1)
    wait_until(lambda: is_ready(second), "every watch may list again")


def test_without_its_lease_an_operator_is_not_ready_and_says_why(here):
    operator = here.start("--operator-namespace=nosuch")
    wait_until(lambda: "lease.unreachable" in operator.log.read_text(), "it tried")
    status, body = operator.get("/health/ready")
    assert status == 503
    assert "Lease nosuch/flamingo-operator" in json.loads(body)["problems"][0]
