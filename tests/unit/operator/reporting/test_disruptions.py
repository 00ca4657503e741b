"""Disruption budgets that let no pod be evicted."""

import pytest
from fakes.clusters import Cluster

from flamingo_operator.reporting.disruptions import blocked_evictions


def blocked(num, **spec):
    return [*blocked_evictions(Cluster.of(spec).deployment.spec, num)]


@pytest.mark.parametrize(
    ("pdb", "num", "is_blocked"),
    [
        ({"minAvailable": 2}, 2, True),
        ({"minAvailable": 3}, 2, True),
        ({"minAvailable": 1}, 2, False),
        ({"minAvailable": 2}, 0, False),
        ({"maxUnavailable": 0}, 2, True),
        ({"maxUnavailable": 1}, 1, False),
    ],
)
def test_a_budget_without_room_for_an_eviction_is_reported(pdb, num, is_blocked):
    assert bool(blocked(num, server={"pdb": pdb})) is is_blocked
    assert blocked(num) == []


def test_the_budget_of_the_routers_is_reported_if_there_are_routers():
    pdb = {"minAvailable": 2}
    (message,) = blocked(1, router={"replicas": 2, "pdb": pdb})
    assert "router.pdb" in message
    assert blocked(1, router={"replicas": 3, "pdb": pdb}) == []
    assert blocked(1, router={"enabled": False, "pdb": pdb}) == []


def test_the_budget_of_batches_is_reported_if_there_are_batches():
    shared = {"database": {"secretRef": {"name": "a"}}, "contents": {"url": "s3://a"}}
    pdb = {"minAvailable": 2}
    (message,) = blocked(1, batches={"replicas": 2, "pdb": pdb, **shared})
    assert "batches.pdb" in message
    assert blocked(1, batches={"replicas": 3, "pdb": pdb, **shared}) == []
    assert blocked(1, batches={"replicas": 2, **shared}) == []


def test_the_condition_accepted_says_so_and_stays_true():
    cluster = Cluster.of({"replicas": 2, "server": {"pdb": {"minAvailable": 2}}})
    cluster.live(4)
    (accepted,) = (one for one in cluster.status["conditions"] if one["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("True", "EvictionsBlocked")
    assert "minAvailable" in accepted["message"]
