"""The conditions of a FlamingoDeployment."""

from dataclasses import replace

import pytest
from control_plane.deployments import INTERNAL
from fakes.clusters import Cluster
from fakes.operator_inputs import QUICK, decisions, demand_for

from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.reporting import status
from flamingo_operator.reporting.condition_inputs import ConditionInputs
from flamingo_operator.reporting.conditions import compute_conditions, conditions_of_invalid_spec
from flamingo_operator.reporting.status import StatusInputs

BATCHES = {"storage": {"size": "1Gi"}}
QUOTA = Rejection("QuotaExceeded", "create Pod music-0: exceeded quota")


def last(found):
    *_, one = found
    return one


def by_type(cluster, **changed):
    inputs = ConditionInputs(cluster.deployment, cluster.observed, cluster.decide())
    return {one.type: one for one in compute_conditions(replace(inputs, **changed))}


@pytest.mark.parametrize(
    ("demands", "active", "limited"),
    [
        ([demand_for(2.0)] * 2, "Internal", "DesiredWithinRange"),
        ([demand_for(9.0)] * 5, "Internal", "TooManyReplicas"),
        ([None] * 20, "SignalLost", "DesiredWithinRange"),
    ],
)
def test_conditions_report_whether_scaling_works_and_what_limits_it(demands, active, limited):
    cluster = Cluster.of({"scaling": INTERNAL})
    cluster.operate()
    cluster.operate()
    found = by_type(cluster, decision=replace(cluster.decide(), desired=last(decisions(demands))))
    assert found["ScalingActive"].reason == active
    assert found["ScalingLimited"].reason == limited


def test_demand_that_no_router_can_report_yet_is_not_a_lost_signal():
    cluster = Cluster.of({"scaling": INTERNAL})
    found = by_type(
        cluster, decision=replace(cluster.decide(), desired=last(decisions([None] * 20)))
    )
    assert found["ScalingActive"].reason == "RouterNotReady"


def test_ready_reports_a_refusal_before_its_consequences():
    cluster = Cluster.of()
    assert by_type(cluster)["Ready"].reason == "RouterNotReady"
    refused = by_type(cluster, rejections=[Rejection("Rejected", "no such priority class")])
    assert (refused["Ready"].status, refused["Ready"].reason) == ("False", "Rejected")
    assert refused["Ready"].message == "no such priority class"


@pytest.mark.parametrize(
    ("conflict", "ready"),
    [("Service music", "NameConflict"), ("PodDisruptionBudget music-servers", "AllReady")],
)
def test_a_fleet_whose_address_is_another_owners_is_not_ready(conflict, ready):
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    assert cluster.status["url"] == "http://music.default.svc"
    decision = replace(cluster.decide(), conflicts=(conflict,))
    assert by_type(cluster, decision=decision)["Ready"].reason == ready
    inputs = StatusInputs(cluster.deployment, cluster.observed, decision, [], {}, cluster.now_s)
    assert ("url" in status.build_status(inputs)) == (ready == "AllReady")


def test_pods_that_merely_start_degrade_nothing():
    cluster = Cluster.of({"replicas": 4})
    cluster.operate()
    cluster.operate()
    cluster.schedule()
    found = by_type(cluster)
    assert (found["Ready"].status, found["Ready"].reason) == ("False", "Loading")
    assert found["Degraded"].status == "False"


@pytest.mark.parametrize(
    ("rejection", "reason"),
    [(QUOTA, "QuotaExceeded"), (Rejection("Rejected", "denied"), "Rejected")],
)
def test_pods_that_are_refused_degrade_the_fleet_that_has_none(rejection, reason):
    cluster = Cluster.of({"replicas": 4})
    cluster.operate()
    cluster.pods = {}
    found = by_type(cluster, rejections=[rejection])
    assert found["Ready"].status == "False"
    assert (found["Degraded"].status, found["Degraded"].reason) == ("True", reason)
    assert found["Accepted"].reason == reason


def test_a_refusal_that_lets_all_pods_serve_degrades_nothing():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    found = by_type(cluster, rejections=[Rejection("Rejected", "create PodMonitor: denied")])
    assert found["Ready"].reason == "AllReady"
    assert found["Degraded"].status == "False"
    assert (found["Accepted"].status, found["Stalled"].status) == ("False", "True")


def test_pods_that_were_ready_and_no_longer_are_degrade_the_fleet():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    cluster.pods = {
        name: replace(pod, is_ready=False, has_lost_readiness=True)
        for name, pod in cluster.pods.items()
    }
    found = by_type(cluster)
    assert (found["Ready"].status, found["Ready"].reason) == ("False", "ReadinessLost")
    assert (found["Degraded"].status, found["Degraded"].reason) == ("True", "ReadinessLost")
    assert (found["Reconciling"].status, found["Reconciling"].reason) == ("True", "Recovering")


def test_routers_that_were_available_and_no_longer_are_degrade_the_fleet():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    key = ("Deployment", "music-router")
    starting = replace(cluster.owned[key], num_ready=0, is_rolled_out=False)
    cluster.owned[key] = starting
    assert by_type(cluster)["Degraded"].status == "False"
    cluster.owned[key] = replace(starting, has_been_available=True)
    assert by_type(cluster)["Degraded"].reason == "RouterNotReady"


def test_batches_have_a_condition_of_their_own_that_the_fleet_is_ready_without():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    assert "BatchesReady" not in by_type(cluster)
    assert "batchesReadyReplicas" not in cluster.status
    cluster.change(batches=BATCHES)
    cluster.live(4)
    assert by_type(cluster)["BatchesReady"].status == "True"
    assert cluster.status["batchesReadyReplicas"] == 2
    key = ("Deployment", "music-batches")
    gone = replace(cluster.owned[key], num_ready=0, is_rolled_out=False, has_been_available=True)
    cluster.owned[key] = gone
    found = by_type(cluster)
    assert (found["BatchesReady"].status, found["BatchesReady"].reason) == (
        "False",
        "BatchesNotReady",
    )
    assert found["Degraded"].reason == "BatchesNotReady"
    assert found["Ready"].status == "True"


def test_a_failing_pod_of_batches_is_the_reason_that_batches_are_not_ready():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK, "batches": BATCHES})
    cluster.live(4)
    key = ("Deployment", "music-batches")
    cluster.owned[key] = replace(cluster.owned[key], num_ready=0)
    failure = FailureCount("ConfigMissing", 1, "b1", "no Secret", "create it", None, "batches")
    found = by_type(cluster, failures=[failure])
    assert found["BatchesReady"].reason == found["Degraded"].reason == "ConfigMissing"
    assert "1 batches pod(s)" in found["BatchesReady"].message


def test_routers_of_a_deployment_that_was_deleted_do_not_count():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(4)
    cluster.owned = {
        key: replace(one, ref=replace(one.ref, owner_uid="u-of-the-deleted"))
        for key, one in cluster.owned.items()
    }
    found = by_type(cluster)
    assert found["Ready"].reason == "RouterNotReady"
    assert found["Reconciling"].reason == "AwaitingDeletion"
    assert "Deployment music-router" in found["Reconciling"].message
    assert found["Accepted"].status == "True"


def test_an_invalid_spec_stalls():
    found = {one.type: one for one in conditions_of_invalid_spec(["no such field"])}
    assert (found["Stalled"].status, found["Stalled"].reason) == ("True", "InvalidSpec")
    assert found["Reconciling"].status == "False"
    assert found["Ready"].status == "Unknown"


def test_a_suspended_fleet_is_as_the_spec_says():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    cluster.change(suspend=True)
    cluster.operate()
    found = by_type(cluster)
    assert (found["Ready"].status, found["Ready"].reason) == ("True", "Suspended")
    assert found["Reconciling"].reason == "Draining"
    cluster.live(4)
    assert by_type(cluster)["Reconciling"].status == "False"
