"""API keys from a Secret, which the kubelet puts where containers read them."""

import json

import httpx2
import pytest
from cluster import installed
from cluster.fleets import BASE
from control_plane.operators import wait_until

from flamingo_common.service import keys

ALICE, BOB, FLEET = "fk-alice", "fk-bob", "fk-fleet"
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
SECRET = "api-keys"


def key_file(**holders):
    entries = [{"name": name, "sha256": keys.digest_of(key)} for name, key in holders.items()]
    observer = {"name": "fleet", "sha256": keys.digest_of(FLEET), "may": ["observe"]}
    return json.dumps({"keys": [*entries, observer]})


def secret(name, **entries):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries}


@pytest.fixture(scope="module")
def keyed(fleet_in):
    made = fleet_in("keyed")
    given = {"keys.yaml": key_file(alice=ALICE), "observe-key": FLEET}
    made.kubectl("create", "-f", "-", body=secret(SECRET, **given))
    home = ("-n", installed.HOME, "apply", "-f", "-")
    made.cluster.output(*home, body=secret(installed.OBSERVE, key=FLEET))
    made.cluster.output("-n", installed.HOME, "rollout", "restart", f"deployment/{installed.NAME}")
    installed.wait_rolled_out(made.cluster)
    made.create(
        {
            **BASE,
            "auth": {
                "keysSecretRef": {"name": SECRET},
                "observeKeySecretRef": {"name": SECRET},
            },
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
