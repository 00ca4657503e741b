"""Manual changes to the operator's objects, and refused ones, on a real API server."""

from control_plane.operators import wait_until

NUM_PLACES = 4
UNTIED = {"metadata": {"ownerReferences": None}}
HOOK = {
    "name": "down.example.com",
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
    "timeoutSeconds": 1,
    "clientConfig": {"url": "https://127.0.0.1:1/"},
    "rules": [
        {
            "apiGroups": ["apps"],
            "apiVersions": ["v1"],
            "operations": ["CREATE"],
            "resources": ["deployments"],
        }
    ],
}


def fixed(here):
    return {key: said for key, said in here.objects().items() if not key.startswith("Pod/")}


def label(here, kind, name, **labels):
    named = {f"flamingo.dev/{key}": value for key, value in labels.items()}
    here.patch(kind, name, {"metadata": {"labels": named}})


def is_tied(pod):
    metadata = pod["metadata"]
    return metadata.get("ownerReferences") and metadata["labels"]["flamingo.dev/serving"] == "true"


def uids(here):
    return {pod["metadata"]["uid"] for pod in here.pods()}


def test_labels_and_owners_that_are_removed_are_restored(fleet):
    before, servers = fixed(fleet), uids(fleet)
    label(fleet, "services", "music", deployment=None)
    label(fleet, "deployments", "music-router", deployment=None)
    label(fleet, "roles", "music-router", deployment="other")
    fleet.patch("poddisruptionbudgets", "music-router", UNTIED)
    (revision,) = fleet.get("controllerrevisions")["items"]
    fleet.patch("controllerrevisions", revision["metadata"]["name"], UNTIED)
    first, second = (pod["metadata"]["name"] for pod in fleet.pods())
    fleet.patch("pods", first, UNTIED)
    label(fleet, "pods", second, serving="false")
    wait_until(lambda: fixed(fleet) == before, "all is as it was")
    wait_until(lambda: all(map(is_tied, fleet.pods())), "servers too")
    fleet.wait_complete(2)
    assert uids(fleet) == servers
    assert fleet.reason("Ready") == "AllReady"


def test_what_an_orphaning_deletion_left_is_adopted_as_it_is(fleet):
    before = uids(fleet)
    fleet.kubectl("delete", "fd", "music", "--cascade=orphan")
    fleet.create({"replicas": 2})
    fleet.wait_complete(2)
    assert uids(fleet) == before
    fleet.kubectl("delete", "fd", "music", "--wait=false")
    wait_until(lambda: fleet.objects() == {}, "everything is deleted")


def test_a_pod_without_our_labels_is_released_and_adopted_with_them(fleet):
    name = fleet.pods()[0]["metadata"]["name"]
    label(fleet, "pods", name, deployment=None)
    wait_until(lambda: len(fleet.pods()) == 3, "another is there")
    fleet.wait_complete(2)
    label(fleet, "pods", name, deployment="music")
    wait_until(lambda: len(fleet.pods()) == 2, "one is too many")
    fleet.wait_complete(2)


def test_a_webhook_that_does_not_answer_is_named_in_the_status(place):
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}}
    kind, version = "ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "down"}}
    place.kubectl("create", "-f", "-", body={**body, "webhooks": [{**HOOK, **where}]})
    try:
        place.create({"replicas": 1})
        wait_until(lambda: place.reason("Accepted") == "WebhookUnavailable", "it is told")
        messages = {one["type"]: one["message"] for one in place.status()["conditions"]}
        assert "down.example.com" in messages["Accepted"]
    finally:
        place.kubectl("delete", kind, "down")
    place.wait_complete(1)
