"""How far the fleet is from its spec, and what kstatus makes of it."""

from dataclasses import replace

import pytest
from control_plane import kstatus
from fakes.clusters import Cluster
from fakes.effort import examples
from fakes.operator_inputs import QUICK
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.reporting import status
from flamingo_operator.reporting.condition_inputs import ConditionInputs
from flamingo_operator.reporting.progress import compute_progress
from flamingo_operator.reporting.status import StatusInputs

ROUTER = ("Deployment", "music-router")
BATCHES = ("Deployment", "music-batches")


def running(**spec):
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK, **spec})
    cluster.live(4)
    return cluster


def progress(cluster, **changed):
    inputs = ConditionInputs(cluster.deployment, cluster.observed, cluster.decide())
    found = compute_progress(replace(inputs, **changed))
    return found.state, found.reason


def judged(cluster):
    """Return what kstatus concludes from the status that was last written."""
    return kstatus.status_of({"metadata": cluster.body["metadata"], "status": cluster.status})


def test_a_fleet_is_current_once_it_is_complete_and_never_before():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    seen = []
    for _ in range(6):
        cluster.live(1)
        seen.append(judged(cluster))
    assert seen[0] == "InProgress"
    assert seen[-1] == "Current"
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"replicas": 4}, "ScalingUp"),
        ({"replicas": 1}, "Draining"),
        ({"replicas": 0}, "Draining"),
        ({"suspend": True}, "Draining"),
        ({"server": {"image": "b:2"}}, "RolloutInProgress"),
        ({"router": {"service": {"port": 8080}}}, "ApplyingSpec"),
    ],
)
def test_the_first_status_of_a_changed_spec_is_not_current(change, reason):
    cluster = running()
    before = cluster.observed
    assert judged(cluster) == "Current"
    cluster.change(**change)
    decision = cluster.decide()
    # As in the operator: the actions are done after the decision and before the next look.
    inputs = StatusInputs(cluster.deployment, before, decision, [], cluster.status, cluster.now_s)
    cluster.status = status.build_status(inputs)
    assert judged(cluster) == "InProgress"
    assert cluster.reason("Reconciling") == reason
    cluster.live(8)
    assert judged(cluster) == "Current"


def test_a_rollout_that_fails_is_in_progress_until_it_is_failed():
    cluster = running()
    old = set(cluster.hashes)
    cluster.change(server={"image": "broken:1"})
    cluster.live(2, revisions=old)
    assert judged(cluster) == "InProgress"
    cluster.live(80, revisions=old)
    assert judged(cluster) == "Failed"
    assert cluster.reason("Stalled") == "RolledBack"
    assert cluster.reason("Ready") == "AllReady"
    cluster.change(server={"image": "working:1"})
    cluster.live(8)
    assert judged(cluster) == "Current"


def test_a_first_rollout_that_fails_has_nothing_to_roll_back_to():
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(80, revisions=set())
    assert judged(cluster) == "Failed"
    assert cluster.reason("Stalled") == "ProgressDeadlineExceeded"


def test_a_first_rollout_says_what_keeps_a_server_from_being_created():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK}, quota=1)
    cluster.live(3)
    messages = {one["type"]: one["message"] for one in cluster.status["conditions"]}
    assert "exceeded quota" in messages["Progressing"]


@pytest.mark.parametrize("spec", [{"suspend": True}, {"replicas": 0}])
def test_a_fleet_that_is_to_have_no_servers_is_current_without_them(spec):
    cluster = running()
    cluster.change(**spec)
    cluster.live(6)
    assert judged(cluster) == "Current"
    cluster.change(suspend=False, replicas=2)
    cluster.operate()
    assert judged(cluster) == "InProgress"
    cluster.live(6)
    assert judged(cluster) == "Current"


def test_a_paused_rollout_is_neither_in_progress_nor_failed():
    cluster = running()
    cluster.change(rollout={**QUICK, "paused": True}, server={"image": "b:2"})
    cluster.live(4)
    assert progress(cluster) == ("Paused", "Paused")
    assert judged(cluster) == "Current"
    cluster.change(replicas=3)
    cluster.operate()
    assert judged(cluster) == "InProgress"
    assert cluster.reason("Progressing") == "ScalingUp"
    cluster.live(4)
    assert progress(cluster) == ("Paused", "Paused")


@pytest.mark.parametrize(
    ("rejection", "expected"),
    [
        (Rejection("Rejected", "denied"), ("Stalled", "Rejected")),
        (Rejection("NameConflict", "exists"), ("Stalled", "NameConflict")),
        (Rejection("PermissionDenied", "cannot"), ("Stalled", "PermissionDenied")),
        (Rejection("QuotaExceeded", "exceeded quota"), ("Reconciling", "QuotaExceeded")),
        (Rejection("WebhookUnavailable", "failed"), ("Reconciling", "WebhookUnavailable")),
    ],
)
def test_a_refusal_stalls_unless_it_may_pass_by_itself(rejection, expected):
    assert progress(running(), rejections=[rejection]) == expected


@pytest.mark.parametrize(
    ("incident", "reason"),
    [
        ({"unreadable": ("spec.scaling.schedules[0].timeZone: unknown",)}, "UnreadableFields"),
        ({"unavailable": {"HTTPRoute": "the API server does not serve it"}}, "KindUnavailable"),
    ],
)
def test_what_keeps_no_pod_from_coming_is_reported_after_the_rollout(incident, reason):
    cluster = running()
    assert progress(cluster, decision=replace(cluster.decide(), **incident)) == ("Stalled", reason)
    cluster.change(server={"image": "b:2"})
    cluster.live(1)
    rolling = replace(cluster.decide(), **incident)
    assert progress(cluster, decision=rolling) == ("Reconciling", "RolloutInProgress")


def test_a_refusal_that_stalls_counts_before_one_that_may_pass():
    both = [Rejection("QuotaExceeded", "exceeded quota"), Rejection("Rejected", "denied")]
    assert progress(running(), rejections=both) == ("Stalled", "Rejected")


def test_routers_that_are_rolling_out_are_in_progress_and_stall_at_their_deadline():
    cluster = running()
    done = cluster.owned[ROUTER]
    cluster.owned[ROUTER] = replace(done, is_rolled_out=False)
    assert progress(cluster) == ("Reconciling", "RouterRolloutInProgress")
    cluster.owned[ROUTER] = replace(done, is_rolled_out=False, has_missed_deadline=True)
    assert progress(cluster) == ("Stalled", "RouterProgressDeadlineExceeded")
    del cluster.owned[ROUTER]
    assert progress(cluster) == ("Reconciling", "RouterRolloutInProgress")


def test_batches_that_are_rolling_out_are_in_progress_and_stall_at_their_deadline():
    cluster = running(batches={"storage": {"size": "1Gi"}})
    done = cluster.owned[BATCHES]
    cluster.owned[BATCHES] = replace(done, is_rolled_out=False)
    assert progress(cluster) == ("Reconciling", "BatchesRolloutInProgress")
    cluster.owned[BATCHES] = replace(done, is_rolled_out=False, has_missed_deadline=True)
    assert progress(cluster) == ("Stalled", "BatchesProgressDeadlineExceeded")


def test_a_repair_of_what_others_changed_is_not_reported_as_progress():
    cluster = running()
    before = cluster.observed
    del cluster.owned["Service", "music"]
    decision = cluster.decide()
    assert decision.actions
    inputs = StatusInputs(cluster.deployment, before, decision, [], cluster.status, cluster.now_s)
    assert status.build_status(inputs) == cluster.status


def test_a_failed_preload_stalls_and_a_running_one_is_in_progress():
    cluster = running()
    decision = cluster.decide()
    preloading = replace(decision, cache="Preloading")
    assert progress(cluster, decision=preloading) == ("Reconciling", "Preloading")
    failed = replace(decision, cache="PreloadFailed")
    assert progress(cluster, decision=failed) == ("Stalled", "PreloadFailed")


def test_a_paused_deployment_is_complete_if_it_matches_its_spec_and_else_says_that_it_is_paused():
    cluster = running()
    cluster.change(paused=True)
    cluster.live(2)
    assert cluster.reason("Progressing") == "Complete"
    cluster.change(server={"image": "b:2"})
    cluster.live(2)
    for kind in ("Reconciling", "Progressing"):
        assert cluster.reason(kind) == "Paused"


MOVES = {
    "schedule": lambda cluster: cluster.schedule(),
    "load": lambda cluster: cluster.load(),
    "end": lambda cluster: cluster.end(),
    "wait": lambda cluster: cluster.wait(30),
    "wait long": lambda cluster: cluster.wait(4000),
    "fault": lambda cluster: cluster.fault(*list(cluster.pods)[:1]),
    "scale up": lambda cluster: cluster.change(replicas=3),
    "scale down": lambda cluster: cluster.change(replicas=1),
    "scale to zero": lambda cluster: cluster.change(replicas=0),
    "suspend": lambda cluster: cluster.change(suspend=True),
    "resume": lambda cluster: cluster.change(suspend=False),
    "roll out": lambda cluster: cluster.change(server={"image": "b:2"}),
    "roll back": lambda cluster: cluster.change(server={"image": "a:1"}),
}


@settings(max_examples=examples(60))
@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=25))
def test_current_means_that_all_pods_that_the_spec_wants_are_ready_and_no_others_exist(moves):
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(2)
    for move in moves:
        MOVES[move](cluster)
        before = cluster.observed
        cluster.operate()
        status_of = {one["type"]: one["status"] for one in cluster.status["conditions"]}
        assert (status_of["Reconciling"], status_of["Stalled"]) != ("True", "True")
        if judged(cluster) == "Current":
            spec = cluster.deployment.spec
            num = 0 if spec.suspend else spec.replicas
            assert len(before.pods) == num
            assert all(pod.is_ready for pod in before.pods)
            assert cluster.status["updatedReplicas"] == num
