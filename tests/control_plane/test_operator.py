"""The operator on a control plane: on a real one where there is one, and always on kmock's.

Each test has a namespace of its own, which on a real control plane takes only restricted pods, and
an operator there that may do what `rbac.py` says and nothing else.
"""

import pytest
from control_plane.operators import wait_until

from flamingo_operator.api.names import PLURAL

KEYS = {"keysSecretRef": {"name": "api-keys"}, "observeKeySecretRef": {"name": "api-keys"}}
THEIR_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "music"},
    "spec": {"selector": {"app": "theirs"}, "ports": [{"name": "http", "port": 80}]},
}
NUM_PLACES = 11


@pytest.fixture(scope="module")
def control_plane(any_control_plane):
    return any_control_plane


def test_a_deployment_becomes_pods_routers_and_what_they_need(fleet):
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
    owners = {pod["metadata"]["ownerReferences"][0]["name"] for pod in fleet.pods()}
    assert owners == {"music"}


def test_at_rest_nothing_is_written_not_even_by_a_new_operator(here):
    here.start()
    here.create({"replicas": 2, "auth": KEYS})
    here.wait_complete(2)
    assert here.operators[0].stop() == 0
    before = here.written()
    operator = here.start("--resync-interval-s=1")
    wait_until(operator.is_idle, "it has reconciled")
    # Several looks at everything, not only the first.
    passes = "flamingo_operator_reconcile_seconds_count"
    wait_until(lambda: operator.metric(passes) >= 4, "it has reconciled again")
    assert operator.metric("flamingo_operator_api_writes_total") == 0
    assert here.written() == before


def without_pods(here):
    """Return what was made, without pods: another one has another number."""
    return {key: said for key, said in here.objects().items() if not key.startswith("Pod/")}


def test_what_others_change_or_delete_is_repaired_and_what_they_add_is_left(fleet):
    before = without_pods(fleet)
    fleet.delete("services", "music-servers")
    impatient = {"template": {"spec": {"terminationGracePeriodSeconds": 6}}}
    fleet.patch("deployments", "music-router", {"spec": impatient})
    fleet.patch("poddisruptionbudgets", "music-servers", {"spec": {"maxUnavailable": 9}})
    fleet.delete("pods", fleet.pods()[0]["metadata"]["name"], is_forced=True)
    theirs = {"example.com/theirs": "1"}
    fleet.patch("services", "music", {"metadata": {"annotations": theirs}})
    wait_until(lambda: without_pods(fleet) == before, "all is as it was")
    fleet.wait_complete(2)
    assert fleet.get("services", "music")["metadata"]["annotations"] == theirs


def test_scaling_adds_pods_and_drains_the_youngest(fleet):
    old = {pod["metadata"]["uid"] for pod in fleet.pods()}
    fleet.change({"replicas": 4})
    fleet.wait_complete(4)
    fleet.change({"replicas": 2})
    fleet.wait_complete(2)
    wait_until(lambda: len(fleet.pods()) == 2, "two are deleted")
    assert {pod["metadata"]["uid"] for pod in fleet.pods()} == old
    assert {"Scaled", "DrainStarted"} <= fleet.event_reasons()
    text = fleet.operators[0].get("/metrics")[1]
    labels = f'name="music",namespace="{fleet.namespace}",result="finished"'
    assert f"flamingo_operator_drains_total{{{labels}}} 2.0" in text


def test_a_paused_deployment_is_planned_and_nothing_is_done(place):
    place.create({"replicas": 2, "paused": True})
    plan = wait_until(lambda: place.status().get("plan"), "the plan")
    assert "create Service music" in plan["actions"]
    assert plan["message"] == "2 server pods created; GPUs: 0 now, 2 at the peak, 2 at the end"
    assert place.reason("Progressing") == "Paused"
    assert place.objects() == {}


def test_a_new_image_of_a_paused_fleet_is_planned_to_the_end_and_taken_when_resumed(fleet):
    before = fleet.objects()
    fleet.change({"paused": True, "server": {"image": "example.com/pod:2"}})
    plan = wait_until(lambda: fleet.status().get("plan"), "the plan")
    assert plan["message"] == "2 server pods replaced; GPUs: 2 now, 3 at the peak, 2 at the end"
    (pod, *_) = fleet.pods()
    fleet.delete("pods", pod["metadata"]["name"])
    wait_until(lambda: fleet.status()["plan"]["createdPods"] == 1, "the missing pod is planned")
    assert fleet.objects().keys() < before.keys()
    fleet.change({"paused": False})
    fleet.wait_complete(2)
    images = {one["spec"]["containers"][0]["image"] for one in fleet.pods()}
    assert images == {"example.com/pod:2"}


def test_a_suspended_deployment_drains_and_can_be_resumed(fleet):
    fleet.change({"suspend": True})
    wait_until(lambda: fleet.pods() == [], "no servers")
    wait_until(lambda: fleet.reason("Ready") == "Suspended", "the condition reports it")
    assert fleet.get("services", "music")
    fleet.change({"suspend": False})
    fleet.wait_complete(2)


def test_a_deleted_deployment_leaves_nothing_behind(fleet):
    fleet.delete(PLURAL, "music")
    wait_until(lambda: fleet.objects() == {}, "everything is deleted")
    # The name is free again at once.
    fleet.create({"replicas": 1})
    fleet.wait_complete(1)


def test_a_retained_claim_outlives_its_deployment(place):
    claim = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    place.create({"replicas": 0, "cache": claim})
    wait_until(lambda: place.reason("Progressing") == "Complete", "complete")
    place.delete(PLURAL, "music")
    wait_until(lambda: len(place.objects()) == 1, "only the claim is left")
    assert [name.partition("/")[0] for name in place.objects()] == ["PersistentVolumeClaim"]


def test_a_service_of_another_owner_is_not_adopted(place):
    place.cluster.create(place.namespace, THEIR_SERVICE)
    before = place.get("services", "music")
    place.create({"replicas": 1})
    wait_until(lambda: place.reason("Accepted") == "NameConflict", "the condition reports it")
    accepted = next(one for one in place.status()["conditions"] if one["type"] == "Accepted")
    conflict = "Service music exists and is not controlled by this FlamingoDeployment"
    assert conflict in accepted["message"]
    assert place.get("services", "music")["metadata"]["uid"] == before["metadata"]["uid"]
    assert place.get("services", "music")["spec"] == before["spec"]
    place.delete("services", "music")
    place.wait_complete(1)


def test_keys_come_from_secrets_as_files(fleet):
    fleet.change({"auth": KEYS})
    fleet.wait_complete(2)
    router = fleet.get("deployments", "music-router")["spec"]["template"]["spec"]
    assert f"--quota-peers={fleet.namespace}/music" in router["containers"][0]["args"]
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
    assert fleet.images().isdisjoint({"example.com/pod:2"})
