"""API keys from a Secret, which the kubelet puts where containers read them; also those of batches,
whose pod keeps files on a volume."""

import json

import httpx2
import openai
import pytest
from cluster import charts, volumes
from cluster.fleets import BASE
from control_plane.operators import wait_until
from fakes import batch_service

from flamingo_common.service import keys

ALICE, BOB, FLEET, BATCHES = "fk-alice", "fk-bob", "fk-fleet", "fk-batches"
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
SECRET = "api-keys"
OBSERVE = {"name": "observe", "key": "key"}
"""The operator's own key."""
STORAGE = {"size": volumes.SIZE, "storageClassName": volumes.STORAGE_CLASS}


def key_file(**holders):
    entries = [{"name": name, "sha256": keys.digest_of(key)} for name, key in holders.items()]
    observer = {"name": "fleet", "sha256": keys.digest_of(FLEET), "may": ["observe"]}
    return json.dumps({"keys": [*entries, observer]})


def secret(name, **entries):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries}


@pytest.fixture(scope="module")
def volume(cluster, tmp_path_factory):
    """Make a volume by hand; delete it afterwards."""
    made = volumes.volume("batches", tmp_path_factory.mktemp("batches"), "ReadWriteOnce")
    cluster.output("create", "-f", "-", body=made)
    yield
    cluster.output("delete", "persistentvolume", "batches", "--wait=false")


@pytest.fixture(scope="module")
def keyed(fleet_in, volume):
    made = fleet_in("keyed")
    given = {"keys.yaml": key_file(alice=ALICE, batches=BATCHES)}
    given |= {"observe-key": FLEET, "batches-key": BATCHES}
    made.kubectl("create", "-f", "-", body=secret(SECRET, **given))
    observer = secret(OBSERVE["name"], **{OBSERVE["key"]: FLEET})
    made.cluster.output("-n", charts.HOME, "create", "-f", "-", body=observer)
    charts.upgrade_operator(made.cluster, {"observeKeySecretRef": OBSERVE})
    made.create(
        {
            **BASE,
            "auth": {
                "keysSecretRef": {"name": SECRET},
                "observeKeySecretRef": {"name": SECRET},
                "batchesKeySecretRef": {"name": SECRET},
            },
            "batches": {"storage": STORAGE},
            "scaling": {"mode": "Internal", "minReplicas": 1, "maxReplicas": 1},
        }
    )
    made.wait_complete(1)
    return made


def status_of(fleet, key):
    """Return how the router answers who shows this key."""

    address = fleet.address

    def ask():
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"{address}/v1/chat/completions"
        return httpx2.post(url, json=ASKED, headers=headers, timeout=60).status_code

    return fleet.cluster.inside(ask)


def test_only_who_has_a_key_is_answered(keyed):
    assert status_of(keyed, None) == 401
    assert status_of(keyed, BOB) == 401
    assert status_of(keyed, ALICE) == 200


def test_an_operator_with_a_key_sees_the_demand(keyed):
    # Without it this would be SignalLost.
    wait_until(lambda: keyed.reason("ScalingActive") == "Internal", "routers are heard")


def test_who_may_observe_sees_what_servers_have_to_do(keyed):
    assert "unreachable" in keyed.plugin("top", "music")
    assert " ready " in keyed.plugin("top", "music", FLAMINGO_API_KEY=FLEET)


def batch_of(address, key, questions):
    """Return what becomes of a batch that someone submits at the routers, and its results."""
    client = openai.OpenAI(base_url=f"{address}/v1", api_key=key)
    made = batch_service.create(client, questions)
    ended = batch_service.wait(client, made.id)
    return ended, batch_service.lines_of(client, ended.output_file_id)


def test_a_batch_at_the_address_of_the_fleet_is_processed_by_its_servers(keyed):
    questions = [batch_service.question(number, max_tokens=4) for number in range(3)]
    address = keyed.address
    ended, results = keyed.cluster.inside(lambda: batch_of(address, ALICE, questions))
    assert (ended.status, ended.request_counts.completed) == ("completed", len(questions)), ended
    assert {one["response"]["status_code"] for one in results} == {200}
    assert {one["custom_id"] for one in results} == {one["custom_id"] for one in questions}
    assert keyed.reason("BatchesReady") == "BatchesReady"
    with pytest.raises(openai.AuthenticationError):
        keyed.cluster.inside(lambda: batch_of(address, BOB, questions))


def test_a_changed_secret_counts_without_a_restart(keyed):
    before = {pod["metadata"]["uid"] for pod in keyed.get("pods")["items"]}
    changed = {"data": None, "stringData": {"keys.yaml": key_file(bob=BOB), "observe-key": FLEET}}
    keyed.kubectl("patch", "secret", SECRET, "--type=merge", f"--patch={json.dumps(changed)}")
    for pod in keyed.get("pods")["items"]:
        # The kubelet looks at once at a pod that changes, and in a minute or two at others.
        keyed.kubectl("annotate", "pod", pod["metadata"]["name"], "look=now")
    wait_until(lambda: status_of(keyed, BOB) == 200, "the new key is known")
    wait_until(lambda: status_of(keyed, ALICE) == 401, "the old one is not")
    pods = keyed.get("pods")["items"]
    assert {pod["metadata"]["uid"] for pod in pods} == before
    assert all(
        one["restartCount"] == 0 for pod in pods for one in pod["status"]["containerStatuses"]
    )
