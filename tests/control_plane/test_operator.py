"""The operator on a real API server, with real controllers and simulated nodes.

Each test has a namespace that takes only restricted pods, and an operator there
that may do what `rbac.py` says and nothing else.
"""

import json
import re
import signal

import pytest
from control_plane.operators import QUICK, grant_cluster, neighbours, site, wait_until

SCARCE = "example.com/scarce-gpu"
KEYS = {"keysSecretRef": {"name": "api-keys"}, "observeKeySecretRef": {"name": "api-keys"}}
NUM_PLACES = 14


@pytest.fixture
def here(whole_cluster, tmp_path, request):
    name = re.sub("[^a-z]+", "-", request.node.name)[:50].strip("-")
    with site(whole_cluster, name, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def places(whole_cluster, tmp_path_factory):
    """Yield namespaces that one operator looks after, for tests that leave it alone."""
    names = [f"place-{number}" for number in range(NUM_PLACES)]
    with (
        site(whole_cluster, "headquarters", tmp_path_factory.mktemp("places")) as first,
        neighbours(first, names) as made,
    ):
        first.start("--no-leader-election", namespaces=",".join(names))
        yield made


@pytest.fixture
def place(places):
    """Yield a namespace that nobody has used; its servers leave their GPUs to the next test's."""
    found = places.pop()
    yield found
    found.kubectl("delete", "fd", "--all", "--wait=false")


@pytest.fixture
def fleet(place):
    """Return a place where two servers run."""
    place.create({"replicas": 2})
    place.wait_complete(2)
    return place


@pytest.fixture
def scarce(whole_cluster):
    """Let one node have two of a resource that no other node has."""
    for count in ("2", None):
        patch = json.dumps(
            {"status": {"capacity": {SCARCE: count}, "allocatable": {SCARCE: count}}}
        )
        args = ("patch", "node", "simulated-0", "--subresource=status", "--type=merge")
        whole_cluster.told(*args, f"--patch={patch}")
        if count:
            yield SCARCE


def test_a_deployment_becomes_servers_routers_and_what_they_need(fleet):
    kinds = {name.partition("/")[0] for name in fleet.objects()}
    assert kinds == {
        "Pod",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ControllerRevision",
    }
    assert fleet.kubectl("get", "fd", "music", "--no-headers").split()[1:6] == [
        "True",
        "AllReady",
        "2",
        "2",
        "2",
    ]
    owners = {pod["metadata"]["ownerReferences"][0]["name"] for pod in fleet.pods()}
    assert owners == {"music"}


def test_at_rest_nothing_is_written_also_not_by_a_new_operator(here):
    here.start()
    here.create({"replicas": 2, "auth": KEYS})
    here.wait_complete(2)
    assert here.operators[0].stop() == 0
    before = here.written()
    operator = here.start("--resync-s=1")
    wait_until(operator.has_looked, "it has looked")
    # Several looks at everything, not only the first.
    passes = "flamingo_operator_reconcile_seconds_count"
    wait_until(lambda: operator.metric(passes) >= 4, "it has looked again")
    assert operator.metric("flamingo_operator_writes") == 0
    assert here.written() == before


def without_pods(here):
    """Return what was made, without pods: another one has another number."""
    return {key: said for key, said in here.objects().items() if not key.startswith("Pod/")}


def test_what_others_change_or_delete_is_repaired_and_what_they_add_is_left(fleet):
    before = without_pods(fleet)
    fleet.kubectl("delete", "service", "music-servers")
    replicas = '{"spec":{"replicas":0}}'
    fleet.kubectl("patch", "deployment", "music-router", "--type=merge", f"--patch={replicas}")
    evil = '{"spec":{"maxUnavailable":9}}'
    fleet.kubectl("patch", "pdb", "music-servers", "--type=merge", f"--patch={evil}")
    fleet.kubectl("delete", "pod", fleet.pods()[0]["metadata"]["name"], "--grace-period=0")
    fleet.kubectl("annotate", "service", "music", "example.com/theirs=1")
    wait_until(lambda: without_pods(fleet) == before, "all is as it was")
    fleet.wait_complete(2)
    assert fleet.get("service", "music")["metadata"]["annotations"] == {"example.com/theirs": "1"}


def test_scaling_adds_servers_and_drains_the_youngest(fleet):
    old = {pod["metadata"]["uid"] for pod in fleet.pods()}
    fleet.kubectl("scale", "fd", "music", "--replicas=4")
    fleet.wait_complete(4)
    fleet.kubectl("scale", "fd", "music", "--replicas=2")
    fleet.wait_complete(2)
    wait_until(lambda: len(fleet.pods()) == 2, "two are gone")
    assert {pod["metadata"]["uid"] for pod in fleet.pods()} == old
    told = fleet.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert {"Scaled", "DrainStarted"} <= set(told)


def num_ready(pods):
    """Return how many of these servers get requests."""
    return sum(
        pod["metadata"]["labels"]["flamingo.dev/serving"] == "true"
        and "deletionTimestamp" not in pod["metadata"]
        and any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod["status"].get("conditions", ())
        )
        for pod in pods
    )


def fewest_ready(here, change):
    """Return the fewest of two servers that were ready while `change` was rolled out."""
    with here.pods_watched() as after_each:
        wait_until(lambda: after_each() and num_ready(after_each()[-1]) == 2, "two are seen")
        num_before = len(after_each())
        here.change(change)
        here.wait_complete(2)
        return min(num_ready(pods) for pods in after_each()[num_before:])


def images(here):
    return {pod["spec"]["containers"][0]["image"] for pod in here.pods()}


def test_a_rollout_takes_no_server_away_where_a_gpu_is_free(fleet):
    assert fewest_ready(fleet, {"server": {"image": "example.com/pod:2"}}) == 2
    wait_until(lambda: images(fleet) == {"example.com/pod:2"}, "all are new")


def test_a_rollout_takes_one_away_first_where_no_gpu_is_free(place, scarce):
    place.create(
        {
            "replicas": 2,
            "gpu": {"resourceName": scarce},
            "rollout": {**QUICK, "surgePendingSeconds": 10},
        }
    )
    place.wait_complete(2)
    assert fewest_ready(place, {"server": {"image": "example.com/pod:2"}}) == 1
    told = place.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
    assert "WaitingForGPU" in told
    wait_until(lambda: images(place) == {"example.com/pod:2"}, "all are new")


def test_a_drained_node_may_take_one_server_at_a_time(fleet):
    def allowed():
        return fleet.get("pdb", "music-servers").get("status", {}).get("disruptionsAllowed")

    # The disruption controller reads our scale subresource, once it knows of the kind.
    wait_until(lambda: allowed() == 1, "one may go")
    pods = [pod["metadata"]["name"] for pod in fleet.pods()]
    path = f"/api/v1/namespaces/{fleet.namespace}/pods/{{}}/eviction"
    operator = fleet.operators[0].process
    operator.send_signal(
        signal.SIGSTOP
    )  # or the first would be replaced before the second is asked
    for name, is_first in ((pods[0], True), (pods[1], False)):
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        ask = ("create", "--raw", path.format(name), "-f", "-")
        told = fleet.cluster.call("-n", fleet.namespace, *ask, body=eviction)
        assert (told.returncode == 0) == is_first, told.stderr
    operator.send_signal(signal.SIGCONT)
    fleet.wait_complete(2)


def test_a_plan_says_what_would_be_done_and_does_nothing(place):
    place.create({"replicas": 2, "mode": "Plan"})
    plan = wait_until(lambda: place.status().get("plan"), "the plan")
    assert "create Service music" in plan["actions"]
    assert place.objects() == {}


def test_a_suspended_deployment_drains_and_comes_back(fleet):
    fleet.change({"suspend": True})
    wait_until(lambda: fleet.pods() == [], "no servers")
    wait_until(lambda: fleet.reason("Ready") == "Suspended", "it says so")
    assert fleet.get("service", "music")
    fleet.change({"suspend": False})
    fleet.wait_complete(2)


def test_a_deleted_deployment_leaves_nothing_behind(fleet):
    fleet.kubectl("delete", "fd", "music", "--wait=false")
    wait_until(lambda: fleet.objects() == {}, "all is gone")
    # The name is free again at once.
    fleet.create({"replicas": 1})
    fleet.wait_complete(1)


def test_a_retained_claim_outlives_its_deployment(place):
    claim = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    place.create({"replicas": 0, "cache": claim})
    wait_until(lambda: place.reason("Progressing") == "Complete", "complete")
    place.kubectl("delete", "fd", "music")
    wait_until(lambda: len(place.objects()) == 1, "only the claim is left")
    assert [name.partition("/")[0] for name in place.objects()] == ["PersistentVolumeClaim"]


def test_what_the_api_server_does_not_take_is_said_in_its_words(place):
    place.create({"replicas": 1, "priorityClassName": "no-such-class"})
    wait_until(lambda: place.reason("SpecValid") == "Rejected", "it says so")
    conditions = {one["type"]: one for one in place.status()["conditions"]}
    assert "no-such-class" in conditions["SpecValid"]["message"]
    assert conditions["Ready"]["reason"] == "SpecRejected"


def test_a_service_of_somebody_else_is_not_taken_over(place):
    place.kubectl("create", "service", "clusterip", "music", "--tcp=80:80")
    before = place.get("service", "music")
    place.create({"replicas": 1})
    wait_until(lambda: place.reason("SpecValid") == "Rejected", "it says so")
    told = next(one for one in place.status()["conditions"] if one["type"] == "SpecValid")
    assert "Service music exists and belongs to somebody else" in told["message"]
    assert place.get("service", "music")["metadata"]["uid"] == before["metadata"]["uid"]
    assert place.get("service", "music")["spec"] == before["spec"]
    place.kubectl("delete", "service", "music")
    place.wait_complete(1)


def test_the_server_on_a_cordoned_node_leaves_first(here, whole_cluster):
    grant_cluster(whole_cluster, here.namespace)
    here.start("--no-leader-election", namespaces="")
    here.create({"replicas": 3})
    here.wait_complete(3)
    node = here.pods()[0]["spec"]["nodeName"]
    on_it = [pod for pod in here.pods() if pod["spec"]["nodeName"] == node]
    whole_cluster.told("cordon", node)
    try:
        here.kubectl("scale", "fd", "music", f"--replicas={3 - len(on_it)}")
        here.wait_complete(3 - len(on_it))
        wait_until(lambda: len(here.pods()) == 3 - len(on_it), "they are gone")
        assert node not in {pod["spec"]["nodeName"] for pod in here.pods()}
    finally:
        whole_cluster.told("uncordon", node)


def test_keys_come_from_secrets_as_files(fleet):
    fleet.change({"auth": KEYS})
    fleet.wait_complete(2)
    router = fleet.get("deployment", "music-router")["spec"]["template"]["spec"]
    assert "--quota-share=0.500000" in router["containers"][0]["args"]
    (keys,) = (one for one in router["volumes"] if one["name"] == "keys")
    assert [one["secret"]["items"][0] for one in keys["projected"]["sources"]] == [
        {"key": "keys.yaml", "path": "keys.yaml"},
        {"key": "observe-key", "path": "observe-key"},
    ]
    assert {pod["spec"]["containers"][0]["args"][-1] for pod in fleet.pods()} == {
        "--key-file=/keys/keys.yaml"
    }


def test_a_spec_can_be_changed_back_while_it_rolls(fleet):
    fleet.change({"server": {"image": "example.com/pod:2"}})
    fleet.change({"server": {"image": None}})
    fleet.wait_complete(2)
    assert images(fleet).isdisjoint({"example.com/pod:2"})
