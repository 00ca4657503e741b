"""Batches: their objects appear, change and vanish, and their data stays."""

from control_plane.batch_deployments import AUTH, SHARED, STORAGE
from control_plane.operators import wait_until

NUM_PLACES = 2
KINDS = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets"
CLAIM = "persistentvolumeclaims"
NUM_KINDS = len(KINDS.split(","))
NAME = "music-batches"
STORED = {"batches": {"storage": STORAGE}}


def kinds_of(place):
    """Return the kinds of the objects of batches."""
    found = place.get(KINDS)["items"]
    return {one["kind"] for one in found if one["metadata"]["name"] == NAME}


def args_of(place, name=NAME):
    (container,) = place.get("deployments", name)["spec"]["template"]["spec"]["containers"]
    return container["args"]


def claims(place):
    return [one["metadata"]["name"] for one in place.get(CLAIM)["items"]]


def test_batches_are_added_to_a_running_fleet_changed_repaired_and_removed(place):
    place.create({"replicas": 1})
    place.wait_complete(1)
    revision = place.status()["updateRevision"]
    place.change(STORED)
    wait_until(lambda: len(kinds_of(place)) == NUM_KINDS, "one object of each kind")
    assert claims(place) == [NAME]
    flag = f"--batches-url=http://{NAME}.{place.namespace}.svc"
    wait_until(lambda: flag in args_of(place, "music-router"), "routers know where batches are")
    # Nothing binds claims here.
    wait_until(lambda: place.reason("BatchesReady") == "Unschedulable", "the status says why")
    assert place.reason("Ready") == "AllReady"

    place.delete("services", NAME)
    place.patch("deployments", NAME, {"spec": {"replicas": 4}})
    wait_until(lambda: "Service" in kinds_of(place), "a deleted Service is made again")
    wait_until(lambda: place.get("deployments", NAME)["spec"]["replicas"] == 1, "drift is reverted")

    place.change({"batches": {"replicas": 2, **SHARED, "storage": None}})
    in_bucket = "--contents-url=s3://music/batches"
    wait_until(lambda: in_bucket in args_of(place), "the pods use the bucket")
    wait_until(lambda: place.reason("BatchesReady") == "BatchesReady", "two pods without a claim")
    assert place.status()["batchesReadyReplicas"] >= 1

    place.change({"batches": None})
    wait_until(lambda: not kinds_of(place), "batches are gone")
    wait_until(lambda: flag not in args_of(place, "music-router"), "routers forget them")
    wait_until(lambda: place.reason("BatchesReady") == "", "there is no condition of them")
    assert claims(place) == [NAME]
    assert place.status()["updateRevision"] == revision


def test_a_claim_outlives_its_fleet_only_if_it_is_retained(place):
    for name, retain in (("music", True), ("audio", False)):
        batches = {"storage": {**STORAGE, "retain": retain}}
        place.create({"replicas": 1, "batches": batches, "auth": AUTH}, name=name)
    both = ["audio-batches", NAME]
    wait_until(lambda: sorted(claims(place)) == both, "both have a claim")
    wait_until(lambda: "Deployment" in kinds_of(place), "and a Deployment")
    assert "--server-key-file=/keys/batches-key" in args_of(place)
    for name in ("music", "audio"):
        place.delete("flamingodeployments", name)
    wait_until(lambda: not kinds_of(place), "the garbage collector has deleted the objects")
    wait_until(lambda: claims(place) == [NAME], "and one claim")

    place.create({"replicas": 1, **STORED})
    wait_until(lambda: "Deployment" in kinds_of(place), "a new fleet of the name takes the claim")
    assert claims(place) == [NAME]
    assert place.reason("Accepted") == "Accepted"
