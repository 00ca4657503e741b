"""`kubectl flamingo restart | undo | history | wait` on a fleet that an operator looks after."""

import json

import pytest
from control_plane.plugin_process import run_plugin

NUM_PLACES = 1


@pytest.fixture
def plugin(fleet):
    """Return a function that runs a command in the fleet's namespace."""

    def run(*args, expected=0):
        done = run_plugin(fleet.cluster, *args, f"--namespace={fleet.namespace}")
        assert done.returncode == expected, done.stderr
        return done.stdout if expected == 0 else done.stderr

    return run


def test_a_fleet_is_restarted_undone_and_waited_for(fleet, plugin):
    def images():
        return {one["spec"]["containers"][0]["image"] for one in fleet.pods()}

    def history():
        return json.loads(plugin("history", "music", "-o", "json"))["items"]

    first, before = images(), {one["metadata"]["uid"] for one in fleet.pods()}
    assert "restarted" in plugin("restart", "music")
    assert "Complete" in plugin("wait", "music", "--for=rollout", "--timeout=90s")
    assert images() == first
    assert before.isdisjoint(one["metadata"]["uid"] for one in fleet.pods())

    fleet.change({"server": {"image": "example.com/pod:2"}, "replicas": 3})
    plugin("wait", "music", "--for=rollout", "--timeout=90s")
    assert [(one["revision"], one["state"]) for one in history()] == [
        (1, "complete"),
        (2, "complete"),
        (3, "current"),
    ]
    assert history()[2]["changes"] == ["spec.server.image"]
    assert "image: example.com/pod:2" in plugin("history", "music", "--revision=3")

    assert "revision 2" in plugin("undo", "music")
    plugin("wait", "music", "--for=rollout", "--timeout=90s")
    assert images() == first
    assert len(fleet.pods()) == 3, "undo changes only the pods"
    assert "skipped undo" in plugin("undo", "music", "--to-revision=4")
    assert "existing revisions: 1, 3, 4" in plugin("undo", "music", "--to-revision=9", expected=1)

    fleet.change({"server": {"image": "example.com/pod:3"}, "paused": True})
    late = plugin("wait", "music", "--for=rollout", "--timeout=1s", expected=1)
    assert "not rollout within 1s: Paused: spec.paused is true" in late
