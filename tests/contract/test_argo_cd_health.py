"""The health script for Argo CD in docs/gitops.md, run by Lua over a fleet's whole life."""

import json
import subprocess

import pytest
from documents.selections import ARGO_CD
from fakes.clusters import Cluster
from fakes.operator_inputs import QUICK

from flamingo_operator.reporting import status


def to_lua(value):
    """Return JSON as a Lua expression; null is nil, as Argo CD passes it."""
    match value:
        case dict():
            return "{" + ", ".join(f"[{to_lua(k)}] = {to_lua(v)}" for k, v in value.items()) + "}"
        case list():
            return "{" + ", ".join(map(to_lua, value)) + "}"
        case None:
            return "nil"
        case str():
            return '"' + "".join(f"\\{byte:03}" for byte in value.encode()) + '"'
        case _:
            return json.dumps(value)


@pytest.fixture
def health_of(needs):
    """Return what Argo CD shows for a FlamingoDeployment."""
    # Argo CD runs scripts with gopher-lua, which is Lua 5.1.
    lua = needs("lua5.1")
    (script,) = (one.text for one in ARGO_CD.commands())

    def run(body):
        program = f"local obj = {to_lua(body)}\nlocal function check()\n{script}end\n"
        program += "local found = check()\nprint(found.status)\nprint(found.message)"
        done = subprocess.run([lua, "-"], input=program.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return tuple(done.stdout.decode().splitlines())

    return run


def body_of(cluster):
    return {**cluster.body, "status": cluster.status}


def complete(**spec):
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK, **spec})
    cluster.live(5)
    return cluster


def test_a_new_fleet_is_progressing_until_it_is_healthy(health_of):
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    assert health_of(cluster.body | {"status": None})[0] == "Progressing"
    assert health_of(cluster.body | {"status": {"observedGeneration": -1}})[0] == "Progressing"
    cluster.operate()
    assert health_of(body_of(cluster)) == (
        "Progressing",
        "RolloutInProgress: creating a new revision",
    )
    cluster.live(5)
    assert health_of(body_of(cluster)) == ("Healthy", "AllReady: 2 of 2 server pods are ready")


def test_a_changed_spec_is_progressing_before_the_operator_has_seen_it(health_of):
    cluster = complete()
    cluster.change(replicas=3)
    assert health_of(body_of(cluster)) == ("Progressing", "waiting for the operator")


def test_a_rollout_that_fails_is_degraded(health_of):
    cluster = complete()
    old = set(cluster.hashes)
    cluster.change(server={"image": "broken:1"})
    cluster.live(4, revisions=old)
    assert health_of(body_of(cluster))[0] == "Progressing"
    cluster.live(80, revisions=old)
    state, message = health_of(body_of(cluster))
    assert state == "Degraded"
    assert message.startswith("RolledBack: ")


def test_a_failing_pod_of_a_fleet_that_is_not_rolling_out_is_degraded(health_of):
    cluster = complete()
    cluster.fault(*cluster.pods, num_restarts=0)
    cluster.operate()
    assert health_of(body_of(cluster))[0] == "Degraded"


@pytest.mark.parametrize(
    ("change", "health"),
    [
        ({"suspend": True}, "Suspended"),
        ({"rollout": {**QUICK, "paused": True}, "server": {"image": "b:2"}}, "Suspended"),
        ({"replicas": 0}, "Healthy"),
    ],
)
def test_what_the_spec_holds_back_is_suspended_and_no_replicas_are_healthy(
    health_of, change, health
):
    cluster = complete()
    cluster.change(**change)
    cluster.live(5)
    assert health_of(body_of(cluster))[0] == health


def test_an_invalid_spec_is_degraded(health_of):
    cluster = complete()
    cluster.status = status.status_of_invalid_spec(
        1, ["no such field"], cluster.status, cluster.observed, 0.0
    )
    assert health_of(body_of(cluster)) == ("Degraded", "InvalidSpec: no such field")
