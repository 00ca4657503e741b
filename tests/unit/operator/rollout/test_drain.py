"""How long a draining pod is kept."""

import pytest
from fakes.clusters import Cluster
from fakes.operator_inputs import ready_pod

from flamingo_operator.cluster.observed import Load
from flamingo_operator.rollout import drain


@pytest.mark.parametrize(
    ("age_s", "load", "expected"),
    [
        pytest.param(3, Load(0.0, 0), "hold", id="endpoints have not settled"),
        pytest.param(6, Load(0.0, 0), "leave", id="empty"),
        pytest.param(6, None, "leave", id="does not say"),
        pytest.param(6, Load(50.0, 2), "hold", id="busy"),
        pytest.param(91, Load(50.0, 2), 1176.0, id="busy beyond its forecast"),
        pytest.param(91, None, "leave", id="silent beyond its forecast"),
        pytest.param(590, Load(50.0, 2), 1605.0, id="busy until the last"),
        pytest.param(605, Load(50.0, 2), "cut", id="busy beyond what the user gave"),
    ],
)
def test_a_draining_pod_is_kept_until_it_is_idle_or_late(age_s, load, expected):
    spec = Cluster.of().deployment.spec.drain
    pod = ready_pod(drain_started_s=1000.0, drain_until_s=1000.0 + 5 + 10 + 75)
    match drain.next_drain_step(pod, load, spec, 1000.0 + age_s):
        case drain.KeepDraining(until_s):
            assert expected == "hold"
            assert 1000.0 + age_s < until_s <= pod.drain_until_s
        case drain.ExtendDeadline(until_s):
            assert expected == until_s
        case drain.DeletePod(_, grace_s):
            assert expected == ("leave" if grace_s is None else "cut")


def test_the_drain_deadline_follows_from_the_backlog_and_is_capped():
    spec = Cluster.of().deployment.spec.drain
    assert drain.deadline_s(Load(0.0, 0), spec, 0.0) == 15.0
    assert drain.deadline_s(Load(100.0, 4), spec, 0.0) == 165.0
    assert drain.deadline_s(Load(10_000.0, 4), spec, 0.0) == 605.0
    assert drain.deadline_s(None, spec, 0.0) == 605.0


def test_a_pod_whose_prediction_was_too_low_is_kept_until_the_spec_s_deadline():
    cluster = Cluster.of({"replicas": 1})
    cluster.live()
    cluster.loads = {name: Load(0.1, 1) for name in cluster.pods}
    cluster.change(replicas=0)
    began_s = cluster.now_s
    while any(not pod.is_terminating for pod in cluster.pods.values()):
        cluster.operate()
        cluster.wait(1.0)
    spec = cluster.deployment.spec.drain
    lasted_s = cluster.now_s - 1 - began_s
    assert lasted_s == spec.settle_seconds + spec.deadline_seconds
