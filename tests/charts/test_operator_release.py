"""Helm installs, upgrades, rolls back and uninstalls the operator in a real cluster."""

import json

import pytest
from charts.helm import OPERATOR, ROOT
from charts.releases import (
    HERE,
    NAME,
    NAMESPACE,
    Releases,
    chart_with,
    everything,
    new_namespace,
    wait_served,
)
from control_plane.deployments import deployment
from control_plane.operators import site, wait_until
from control_plane.other_releases import earlier_manifest, later_manifest
from fakes.kube_programs import definitions

from flamingo_operator.api.names import CRD

TINY = deployment({"model": {"id": "flamingo-tiny"}, "gpu": {"count": 0}}, name="music")
WITHOUT_CRD = {"crds": {"install": False}, "rbac": {"aggregateClusterRoles": False}}
SCHEMA = "{.spec.versions[0].schema.openAPIV3Schema.properties}"


@pytest.fixture(scope="module", autouse=True)
def _namespaces(kubernetes):
    """Make the namespaces that the tests share: to delete one takes longer than any test."""
    for name in (NAMESPACE, "team-a", "team-b", "team-c"):
        new_namespace(kubernetes, name)


@pytest.fixture(params=["helm", "helm3"])
def any_releases(kubernetes, request, helms):
    """Yield Helm 4 and Helm 3 in a cluster in which nothing of ours is installed."""
    with Releases(helms(request.param), kubernetes).cleaned_up() as made:
        yield made


@pytest.fixture
def releases(kubernetes, helm):
    """Yield Helm in a cluster in which nothing of ours is installed."""
    with Releases(helm, kubernetes).cleaned_up() as made:
        yield made


def field(cluster, path, *what):
    return cluster.output("get", *what, f"--output=jsonpath={path}")


def uid(cluster, *what):
    return field(cluster, "{.metadata.uid}", *what)


def test_an_operator_is_installed_and_uninstalled_around_its_fleets(any_releases):
    cluster = any_releases.cluster
    before = everything(cluster)
    any_releases.output("install", NAME, OPERATOR, *HERE, "--wait", "--timeout=2m")
    wait_served(cluster)
    cluster.output("create", "-f", "-", body=TINY)
    fleet = uid(cluster, "fd", "music")
    any_releases.upgrade(OPERATOR, replicas=3)
    any_releases.output("rollback", NAME, "1", *HERE)
    assert field(cluster, "{.spec.replicas}", "-n", NAMESPACE, "deploy", NAME) == "2"
    any_releases.uninstall()
    kept = {f"CustomResourceDefinition//{CRD}", "FlamingoDeployment/default/music"}
    wait_until(lambda: everything(cluster) - before == kept, "only these are left")
    any_releases.install()
    assert uid(cluster, "fd", "music") == fleet
    any_releases.uninstall()
    cluster.output("delete", "crd", CRD)
    wait_until(lambda: everything(cluster) - before == set(), "nothing is left")


TRANSITIONS = (
    ("upgrade", "later"),
    ("rollback", "own"),
    ("upgrade", "earlier"),
    ("rollback", "later"),
    ("rollback", "earlier"),
    ("rollback", "own"),
)
"""From each of the three definitions to each other."""


def test_server_pods_run_on_while_the_definition_changes_in_every_order(any_releases, tmp_path):
    cluster = any_releases.cluster
    charts = {
        "own": OPERATOR,
        "earlier": chart_with(earlier_manifest(), "0.0.9", tmp_path),
        "later": chart_with(later_manifest(), "0.2.0", tmp_path),
    }
    any_releases.install()
    wait_served(cluster)
    revisions = {"own": 1}
    with site(cluster, f"fleets-{any_releases.helm.home.name}", tmp_path) as here:
        operator = here.start("--no-leader-election", "--resync-interval-s=1")
        here.create({"replicas": 2})
        here.wait_complete(2)
        pods = {one["metadata"]["uid"] for one in here.pods()}
        for number, (command, name) in enumerate(TRANSITIONS, 2):
            if command == "upgrade":
                any_releases.upgrade(charts[name])
                revisions[name] = number
            else:
                any_releases.output("rollback", NAME, str(revisions[name]), *HERE)
            assert served_definition(cluster) == name
            wait_reconciled(operator)
            here.wait_complete(2)
            assert {one["metadata"]["uid"] for one in here.pods()} == pods, (command, name)


def served_definition(cluster):
    """Return which of the definitions is installed."""
    properties = json.loads(field(cluster, SCHEMA, "crd", CRD))
    if "later" in properties["spec"]["properties"]:
        return "later"
    return "own" if "plan" in properties["status"]["properties"] else "earlier"


def wait_reconciled(operator):
    counted = "flamingo_operator_reconcile_seconds_count"
    before = operator.metric(counted)
    # One reconciliation may have begun before.
    wait_until(lambda: operator.metric(counted) >= before + 2, "it is reconciled again")


def test_a_definition_that_kubectl_applied_is_taken_over_on_request(releases):
    cluster = releases.cluster
    cluster.output("apply", "--server-side", "-f", str(ROOT / "crds/flamingodeployments.yaml"))
    refusal = releases.refusal("install", NAME, OPERATOR, *HERE)
    assert f'CustomResourceDefinition "{CRD}"' in refusal
    assert "exists and cannot be imported into the current release" in refusal
    releases.output("install", NAME, OPERATOR, *HERE, "--take-ownership")
    releases.uninstall()
    assert uid(cluster, "crd", CRD)


def test_a_taken_name_is_refused_in_one_sentence(releases):
    releases.cluster.output("-n", NAMESPACE, "create", "serviceaccount", NAME)
    refusal = releases.refusal("install", NAME, OPERATOR, *HERE)
    assert f'ServiceAccount "{NAME}" in namespace "{NAMESPACE}" exists' in refusal
    releases.cluster.output("-n", NAMESPACE, "delete", "serviceaccount", NAME)


def test_the_secret_with_the_observe_key_has_to_exist(releases):
    values = {"observeKeySecretRef": {"name": "observe"}}
    refusal = releases.refusal("install", NAME, OPERATOR, *HERE, values=values)
    assert "the namespace flamingo-system has no Secret of that name" in refusal
    secret = ("create", "secret", "generic", "observe", "--from-literal=observe-key=k")
    releases.cluster.output("-n", NAMESPACE, *secret)
    releases.output("install", NAME, OPERATOR, *HERE, values=values)


def test_a_kind_that_the_cluster_lacks_is_refused_in_one_sentence(releases):
    for value, kind in {
        "serviceMonitor": "ServiceMonitor",
        "prometheusRule": "PrometheusRule",
    }.items():
        values = {value: {"enabled": True}}
        refusal = releases.refusal("install", NAME, OPERATOR, *HERE, values=values)
        assert f"{value}.enabled is true, but the cluster has no {kind}: install" in refusal


@pytest.fixture
def prometheus_operator(kubernetes):
    """Install the kinds of the Prometheus operator for a test."""
    files = [f"--filename={path}" for path in definitions("monitoring.coreos.com")]
    kubernetes.output("apply", "--server-side", *files)
    kubernetes.output("wait", "--for=condition=Established", "--timeout=30s", *files)
    yield
    kubernetes.output("delete", *files)


@pytest.mark.usefixtures("prometheus_operator")
def test_monitors_and_alerts_are_installed_where_their_kinds_are(releases):
    monitored = {"enabled": True, "labels": {"release": "kube-prometheus-stack"}}
    releases.install(serviceMonitor=monitored, prometheusRule=monitored)
    listed = ("get", "servicemonitors,prometheusrules", "-n", NAMESPACE, "-o", "name")
    assert len(releases.cluster.output(*listed).splitlines()) == 2


def test_a_namespace_that_does_not_exist_cannot_be_watched(releases):
    values = {"watchNamespaces": ["nowhere"]}
    assert '"nowhere" not found' in releases.refusal(
        "install", NAME, OPERATOR, *HERE, values=values
    )


def test_without_the_definition_the_notes_say_how_to_install_it(releases):
    given = ("install", NAME, OPERATOR, *HERE)
    notes = releases.output(*given, values={"crds": {"install": False}})
    assert "kubectl apply --server-side -f crds/flamingodeployments.yaml" in notes


def test_operators_of_their_own_namespaces_do_not_collide(releases):
    alone = {"watchNamespaces": ["team-a"]}
    releases.output("install", "operator", OPERATOR, "--namespace=team-a", values=alone)
    beside = {"watchNamespaces": ["team-b"], "crds": {"install": False}}
    releases.output("install", "operator", OPERATOR, "--namespace=team-b", values=beside)
    install = ("install", "operator", OPERATOR, "--namespace=team-c")
    refusal = releases.refusal(*install, values={**alone, **WITHOUT_CRD})
    assert "already runs the FlamingoDeployments of team-a" in refusal
    refusal = releases.refusal(*install, values=WITHOUT_CRD)
    assert "already runs the FlamingoDeployments of team-" in refusal


def test_a_second_operator_of_the_whole_cluster_is_refused(releases):
    releases.install()
    for values in ({"crds": {"install": False}}, {"watchNamespaces": ["team-a"]}):
        install = ("install", "operator", OPERATOR, "--namespace=team-a")
        refusal = releases.refusal(*install, values=values)
        assert "already runs the FlamingoDeployments of all namespaces" in refusal


SETTINGS = {
    "default": {},
    "namespaces": {"watchNamespaces": ["team-a", "team-b"]},
    "everything": {
        "commonLabels": {"team": "audio"},
        "crds": {"annotations": {"a": "b"}},
        "observeKeySecretRef": {"name": "observe"},
        "extraEnv": [{"name": "A", "value": "b"}],
        "extraEnvFrom": [{"configMapRef": {"name": "proxy"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ssl/company"}],
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "networkPolicy": {
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
            "egress": {"enabled": True, "extraRules": [{"ports": [{"port": 4318}]}]},
        },
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Flamingo Fleet"}},
    },
}


@pytest.mark.parametrize("values", SETTINGS.values(), ids=SETTINGS)
def test_every_object_is_valid_to_the_api_server(kubernetes, helm, values):
    manifests = helm.render(OPERATOR, values)
    whole = {"apiVersion": "v1", "kind": "List", "items": manifests}
    how = ("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-")
    accepted = kubernetes.output(*how, body=whole).splitlines()
    assert len(accepted) == len(manifests)


MAY = {
    "view": {"get fd": "yes", "create fd": "no", "patch fd --subresource=scale": "no"},
    "edit": {"create fd": "yes", "delete fd": "yes", "patch fd --subresource=scale": "yes"},
    "admin": {"create fd": "yes", "patch fd --subresource=status": "no"},
}


def test_the_roles_of_kubernetes_include_fleets(releases):
    releases.install()
    cluster, here = releases.cluster, ("-n", "team-a")
    wait_served(cluster)
    for role, answers in MAY.items():
        given = (f"--clusterrole={role}", f"--user={role}")
        cluster.output(*here, "create", "rolebinding", role, *given)
        asked = {one: (*here, "auth", "can-i", *one.split(), f"--as={role}") for one in answers}
        wait_until(lambda asked=asked, answers=answers: said(cluster, asked) == answers, role)


def said(cluster, asked):
    return {name: cluster.call(*question).stdout.strip() for name, question in asked.items()}


def test_install_yaml_is_applied_twice_and_can_be_taken_over_by_helm(releases):
    cluster = releases.cluster
    cluster.output("apply", "-f", str(ROOT / "install.yaml"))
    again = cluster.output("apply", "-f", str(ROOT / "install.yaml")).splitlines()
    # kubectl replaces the selector of a budget as a whole, and so never calls it unchanged.
    budget = f"poddisruptionbudget.policy/{NAME} configured"
    assert [line for line in again if not line.endswith(" unchanged")] == [budget]
    cluster.output("-n", NAMESPACE, "rollout", "status", f"deployment/{NAME}", "--timeout=60s")
    releases.output("install", NAME, OPERATOR, *HERE, "--take-ownership", "--wait")


def test_an_operator_that_gets_other_names_is_not_taken_for_a_second_one(releases):
    releases.install()
    releases.upgrade(OPERATOR, fullnameOverride="other")
    names = field(releases.cluster, "{.items[*].metadata.name}", "-n", NAMESPACE, "deploy")
    assert names == "other"
