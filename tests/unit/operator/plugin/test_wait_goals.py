"""Whether a deployment has reached what is waited for."""

import pytest
from fakes.clusters import Cluster

from flamingo_operator.plugin import wait_goals
from flamingo_operator.plugin.wait_goals import Goal

QUICK = {"minReadySeconds": 0}


def fleet(**spec):
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK, **spec})
    cluster.live(4)
    return cluster


def reached(cluster, goal):
    return wait_goals.progress({**cluster.body, "status": cluster.status}, goal)


def test_a_fleet_that_is_as_its_spec_says_is_ready_and_rolled_out():
    cluster = fleet()
    assert reached(cluster, Goal.READY).is_done
    assert reached(cluster, Goal.ROLLOUT).is_done


def test_a_rollout_is_waited_for_although_the_fleet_is_ready():
    cluster = fleet()
    cluster.change(server={"image": "b:2"})
    assert reached(cluster, Goal.ROLLOUT).message == "waiting for the operator to observe the spec"
    cluster.operate()
    found = reached(cluster, Goal.ROLLOUT)
    assert (found.is_done, found.is_failed) == (False, False)
    assert "RolloutInProgress" in found.message
    assert "(0 updated, 2 ready)" in found.message
    assert reached(cluster, Goal.READY).is_done


def test_a_failed_rollout_is_not_waited_for():
    cluster = fleet(rollout={**QUICK, "progressDeadlineSeconds": 100})
    good = set(cluster.hashes)
    cluster.change(server={"image": "bad:0"})
    cluster.live(6, revisions=good)
    found = reached(cluster, Goal.ROLLOUT)
    assert found.is_failed
    assert found.message.startswith("RolledBack: ")


def test_a_paused_fleet_is_waited_for_with_the_reason():
    cluster = fleet()
    cluster.change(server={"image": "b:2"}, paused=True)
    cluster.operate()
    found = reached(cluster, Goal.ROLLOUT)
    assert (found.is_done, found.is_failed) == (False, False)
    assert found.message.startswith("Paused: spec.paused is true")


def test_only_who_waits_for_the_deletion_is_done_when_it_is_gone():
    assert wait_goals.progress(None, Goal.DELETED).is_done
    assert wait_goals.progress(None, Goal.ROLLOUT).is_failed
    assert not reached(fleet(), Goal.DELETED).is_done


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("0s", 0), ("2h", 7200)]
)
def test_a_duration_is_read(text, seconds):
    assert wait_goals.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10", "5 m", "-1s", "1m1h"])
def test_a_text_that_is_not_a_duration_is_refused(text):
    with pytest.raises(ValueError, match="is not a duration: use for example"):
        wait_goals.parse_duration(text)
