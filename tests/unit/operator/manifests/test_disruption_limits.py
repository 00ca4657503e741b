"""The limits of PodDisruptionBudgets."""

import pytest
from fakes.clusters import Cluster
from hypothesis import given
from hypothesis import strategies as st

from flamingo_operator.manifests import disruption_limits

INTERNAL = {"mode": "Internal", "minReplicas": 1, "maxReplicas": 9}


def limit(pdb=None, *, num=3, **spec):
    server = {"pdb": pdb} if pdb else {}
    deployment = Cluster.of({"server": server, **spec}).deployment
    return disruption_limits.server_limit(deployment.spec, num)


@pytest.mark.parametrize(
    "pdb",
    [{"maxUnavailable": 2}, {"maxUnavailable": "25%"}, {"minAvailable": "50%"}],
    ids=str,
)
def test_in_mode_external_the_limit_is_as_the_user_wrote_it(pdb):
    assert limit(pdb) == pdb


def test_one_server_pod_may_be_unavailable_by_default():
    assert limit() == {"maxUnavailable": 1}


@pytest.mark.parametrize(
    ("pdb", "num"),
    [
        (None, 2),
        ({"maxUnavailable": 2}, 1),
        ({"maxUnavailable": 5}, 0),
        ({"maxUnavailable": "25%"}, 2),
        ({"maxUnavailable": "100%"}, 0),
        ({"minAvailable": 2}, 2),
        ({"minAvailable": "50%"}, 2),
        ({"minAvailable": "0%"}, 0),
    ],
    ids=str,
)
def test_in_mode_internal_it_is_a_number_of_those_desired_that_stays_available(pdb, num):
    assert limit(pdb, scaling=INTERNAL) == {"minAvailable": num}


@given(num=st.integers(0, 500), percent=st.integers(1, 100))
def test_a_share_that_may_be_unavailable_lets_at_least_one_pod_be_evicted(num, percent):
    found = limit({"maxUnavailable": f"{percent}%"}, num=num, scaling=INTERNAL)
    assert found["minAvailable"] <= max(0, num - 1)
    assert num - found["minAvailable"] <= num * percent / 100 + 1
