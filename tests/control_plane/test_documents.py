"""The pages about Kubernetes, followed command by command on a cluster with simulated nodes."""

import contextlib
import json
import tempfile
from pathlib import Path

import pytest
from control_plane import readers
from control_plane.conftest import started
from control_plane.demand import report_request, router
from control_plane.deployments import deployment
from control_plane.operators import Site
from documents import selections, terminal
from documents.walks import Event, follow

NAMESPACE = readers.NAMESPACE
INSTALL_A_FLEET = "helm install music helm/flamingo --set model.id=flamingo-tiny"


@pytest.fixture(scope="module")
def cluster():
    """Yield a cluster on which nothing is installed, with six simulated nodes."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fd-")))
        made = stack.enter_context(started(folder / "k", num_nodes=6))
        if made.state is None:
            pytest.skip("only an API server: set FLAMINGO_KUBE for simulated nodes")
        readers.label_nodes(made)
        yield made


def test_the_page_about_installation(cluster, tmp_path):
    """The first one, because it ends with a cluster on which nothing is installed."""
    with terminal.opened(tmp_path, readers.environment(cluster, tmp_path)) as reader:
        events = [
            # The reader has taken one of the two ways.
            Event("Install with kubectl", "kubectl apply", lambda: readers.uninstall(reader)),
            Event("The observe key", "kubectl", lambda: readers.install_again(reader)),
        ]
        follow(selections.INSTALLATION.commands(), reader, events)
        readers.remove_teams(reader)


@pytest.fixture(scope="module")
def installed(cluster, needs, tmp_path_factory):
    """Yield the terminal of a reader who has installed the operator as the page says."""
    needs("jq")
    folder = tmp_path_factory.mktemp("reader")
    with terminal.opened(folder, readers.environment(cluster, folder)) as opened:
        follow(selections.WALK_INSTALLED.commands(), opened)
        yield opened


@pytest.fixture
def reader(cluster, installed):
    """Yield the terminal of a reader who has no fleet yet."""
    yield installed
    readers.tidy_up(cluster, installed)


def test_the_walk_on_a_cluster_with_gpus(cluster, reader):
    events = [
        Event(
            "A rollout that fails",
            "kubectl flamingo wait",
            lambda: readers.pass_deadline(cluster, NAMESPACE),
        )
    ]
    follow(selections.WALK_GPUS.commands(), reader, events)


def test_the_walk_with_helm(cluster, reader):
    with readers.meanwhile() as soon:
        fails = Event(
            "Helm and GitOps",
            "helm upgrade music helm/flamingo --reuse-values --wait",
            lambda: soon(readers.pass_deadline, cluster, "studio"),
        )
        follow(selections.WALK_HELM.commands(), reader, [fails])


def test_the_walk_with_a_quota(cluster, reader):
    loaded = Event(
        "Preloading the model",
        "kubectl get fd,pods",
        lambda: readers.end_preload(cluster, "team-a", 0),
    )
    follow(selections.WALK_QUOTA.commands(), reader, [loaded])


def test_the_page_about_operations(cluster, reader):
    def end_quota():
        cluster.output("-n", NAMESPACE, "delete", "quota", "q")

    events = [
        Event("A first deployment", "kubectl wait", lambda: readers.quicken(cluster)),
        Event("A first deployment", "kubectl get", lambda: readers.count_budget(cluster)),
        Event(
            "Taking a new default image",
            "kubectl flamingo restart",
            lambda: readers.quicken(cluster, 0, 0),
        ),
        Event("Rollback", "kubectl get fd", lambda: readers.pass_deadline(cluster, NAMESPACE)),
        Event(
            "Preload Job",
            "kubectl get fd",
            lambda: readers.end_preload(cluster, NAMESPACE, 6, "gated"),
        ),
        Event("Rejected objects", "kubectl create quota", lambda: readers.renew(cluster, reader)),
        Event("Emptying a node", "kubectl cordon", end_quota),
        Event("Emptying a node", "kubectl cordon", lambda: readers.renew(cluster, reader, (0, 1))),
        Event(
            "GPU failures",
            "kubectl get events",
            lambda: readers.break_gpu(cluster, reader),
        ),
        Event("GPU failures", "kubectl scale", lambda: readers.fill_nodes(cluster)),
    ]
    follow(selections.OPERATIONS.commands(), reader, events)


def test_the_page_about_the_plugin(cluster, reader):
    fleet = deployment({"replicas": 3, "rollout": {"minReadySeconds": 0}})
    created = Event("Plan", "kubectl flamingo plan", lambda: readers.create_fleet(cluster, fleet))
    follow(selections.PLUGIN.commands(), reader, [created])


def test_the_page_about_scaling(cluster, reader):
    scaling = {"mode": "Internal", "minReplicas": 0, "maxReplicas": 4, "scaleUp": {"maxStep": 2}}
    spec = {"scaling": scaling, "cost": {"gpuPerHour": "1.90", "currency": "EUR"}}
    place = Site(cluster, NAMESPACE, reader.folder)
    with router(place, spec) as busy:
        busy.report_demand(6.0)
        report_request(busy, place)
        follow(selections.SCALING.commands(), reader)


def test_a_change_is_waited_for_with_kubectl_and_helm(cluster, reader):
    values = {"model": {"id": "flamingo-tiny"}, "replicas": 3, "rollout": {"minReadySeconds": 0}}
    body = deployment({**values})
    chart = f"{INSTALL_A_FLEET} --values - <<< '{json.dumps(values)}'"
    with readers.meanwhile() as soon:
        events = [
            Event("kubectl", "kubectl wait", lambda: readers.create_fleet(cluster, body)),
            Event(
                "kubectl",
                "kubectl wait --for=delete",
                lambda: soon(cluster.output, "-n", NAMESPACE, "delete", "fd", "music"),
            ),
            Event("Helm", "helm upgrade", lambda: readers.done(reader, chart)),
        ]
        follow(selections.GITOPS_WAITS.commands(), reader, events)


def test_a_fleet_by_helm(cluster, reader):
    with readers.meanwhile() as soon:
        tested = Event(
            "A fleet by Helm", "helm test", lambda: soon(readers.end_test, cluster, "music-test")
        )
        follow(selections.CHART.commands(), reader, [tested])


def test_the_page_of_the_chart_of_a_fleet(cluster, reader):
    readers.done(reader, f"{readers.INSTALL_THE_OPERATOR} --set crds.install=false")
    with readers.meanwhile() as soon:
        tested = Event(
            "flamingo", "helm test", lambda: soon(readers.end_test, cluster, "tiny-test")
        )
        fleet = Event("API keys", "(echo keys:", lambda: readers.done(reader, INSTALL_A_FLEET))
        follow(selections.FLEET_CHART.commands(), reader, [tested, fleet])


def test_what_is_asked_of_any_cluster_and_fleet(cluster, reader):
    readers.create_fleet(cluster, deployment({"rollout": {"minReadySeconds": 0}}))
    (reader.folder / "hub-token.txt").write_text("hf_example")
    for one in (selections.NODES, selections.HUB_TOKEN, selections.RUNBOOK, selections.OUTSIDE):
        follow(one.commands(), reader)
