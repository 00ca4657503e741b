"""What the operator expects to do: the forecast, compared with what is then done."""

import pytest
from fakes.clusters import Cluster
from fakes.effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flamingo_operator.cluster.observed import Load
from flamingo_operator.forecast import Forecast, GpuForecast, summary

QUICK = {"minReadySeconds": 0}
IMAGE = {"image": "b:2"}


def running(num=3, **fields):
    """Return a fleet whose server pods run."""
    cluster = Cluster.of({"replicas": num, "rollout": QUICK, **fields})
    cluster.live(num + 3)
    assert len(cluster.ready) == num
    return cluster


def counts(found):
    return found.num_replaced, found.num_created, found.num_removed


def test_a_new_image_replaces_all_pods_with_one_more_gpu_at_a_time():
    cluster = running()
    cluster.change(server=IMAGE)
    found = cluster.forecast()
    assert counts(found) == (3, 0, 0)
    assert found.gpus == GpuForecast(current=3, peak=4, final=3)
    assert summary(found) == ("3 server pods replaced; GPUs: 3 now, 4 at the peak, 3 at the end")
    new = cluster.spec_hash
    assert [one for one in found.actions if one.startswith("create")] == [
        f"create ControllerRevision music-{new}",
        *(f"create Pod music-{new}-{ordinal}" for ordinal in range(3)),
    ]
    assert sum(one.startswith("drain Pod") for one in found.actions) == 3


@pytest.mark.parametrize(
    ("changed", "expected", "gpus"),
    [
        ({}, (0, 0, 0), (3, 3, 3)),
        ({"replicas": 5}, (0, 2, 0), (3, 5, 5)),
        ({"replicas": 1}, (0, 0, 2), (3, 3, 1)),
        ({"suspend": True}, (0, 0, 3), (3, 3, 0)),
        ({"replicas": 5, "server": IMAGE}, (3, 2, 0), (3, 6, 5)),
        ({"replicas": 1, "server": IMAGE}, (1, 0, 2), (3, 3, 1)),
        ({"server": IMAGE, "rollout": {**QUICK, "strategy": "Recreate"}}, (3, 0, 0), (3, 3, 3)),
        ({"server": IMAGE, "rollout": {**QUICK, "maxSurge": 3}}, (3, 0, 0), (3, 6, 3)),
        (
            {"server": IMAGE, "rollout": {**QUICK, "maxSurge": 0, "maxUnavailable": 1}},
            (3, 0, 0),
            (3, 3, 3),
        ),
        ({"server": IMAGE, "rollout": {**QUICK, "paused": True}}, (0, 0, 0), (3, 3, 3)),
        ({"server": IMAGE, "rollout": {"minReadySeconds": 3600}}, (3, 0, 0), (3, 4, 3)),
        ({"router": {"replicas": 5}}, (0, 0, 0), (3, 3, 3)),
        ({"gpu": {"count": 0}}, (3, 0, 0), (3, 3, 0)),
    ],
)
def test_the_whole_transition_is_counted(changed, expected, gpus):
    cluster = running()
    cluster.change(**changed)
    found = cluster.forecast()
    assert counts(found) == expected
    assert (found.gpus.current, found.gpus.peak, found.gpus.final) == gpus
    assert found.is_empty == (not cluster.operate().actions)


def test_nothing_is_expected_of_a_fleet_that_is_what_its_spec_says():
    found = running().forecast()
    assert found == Forecast(gpus=GpuForecast(3, 3, 3))
    assert summary(found) == "no changes"


def test_the_forecast_of_a_new_fleet_waits_for_its_preload_job():
    claim = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
    found = Cluster.of({"replicas": 2, "cache": {**claim, "preload": True}}).forecast()
    assert counts(found) == (0, 2, 0)
    job = next(one for one in found.actions if one.startswith("create Job"))
    pods = [one for one in found.actions if one.startswith("create Pod ")]
    assert found.actions.index(job) < found.actions.index(pods[0])
    assert summary(found) == "2 server pods created; GPUs: 0 now, 2 at the peak, 2 at the end"


def test_a_draining_pod_that_is_needed_again_is_not_counted_as_new():
    cluster = running(2)
    cluster.loads = {name: Load(backlog_s=100.0, num_in_flight=3) for name in cluster.pods}
    cluster.change(replicas=1)
    cluster.operate()
    cluster.change(replicas=2)
    found = cluster.forecast()
    assert counts(found) == (0, 0, 0)
    assert [one.partition(" ")[0] for one in found.actions] == ["undrain"]


def test_a_pod_whose_drain_was_requested_is_replaced():
    cluster = running(2)
    cluster.request_drain(next(iter(cluster.pods)))
    found = cluster.forecast()
    assert counts(found) == (1, 0, 0)
    assert found.gpus == GpuForecast(2, 3, 2)


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    num=st.integers(0, 3),
    after=st.integers(0, 4),
    image=st.sampled_from([None, "b:2"]),
    strategy=st.sampled_from(["Auto", "RollingUpdate", "Recreate"]),
    limits=st.sampled_from([(1, 0), (2, 0), (0, 1), (1, 2)]),
)
def test_what_is_expected_happens_where_gpus_are_free(num, after, image, strategy, limits):
    rollout = {**QUICK, "strategy": strategy, "maxSurge": limits[0], "maxUnavailable": limits[1]}
    cluster = running(num, rollout=rollout)
    cluster.change(replicas=after, **({"server": {"image": image}} if image else {}))
    found = cluster.forecast()
    known, peak, is_done = set(cluster.pods), len(cluster.pods), False
    while not is_done:
        is_done = not cluster.operate().actions
        peak = max(peak, sum(pod.is_active for pod in cluster.pods.values()))
        cluster.schedule()
        cluster.load()
        cluster.end()
        cluster.wait(60)
    num_new, num_gone = len(set(cluster.pods) - known), len(known - set(cluster.pods))
    assert found.num_replaced + found.num_created == num_new
    assert found.num_replaced + found.num_removed == num_gone
    assert found.gpus == GpuForecast(num, max(found.gpus.peak, after, num), len(cluster.pods))
    assert peak <= found.gpus.peak


class TestPaused:
    """spec.paused: nothing is done, and the status says what would be."""

    def test_nothing_is_done_and_the_plan_is_in_the_status(self):
        cluster = Cluster.of({"replicas": 2, "paused": True})
        cluster.live(3)
        assert cluster.owned == {}
        assert cluster.raw == {}
        plan = cluster.status["plan"]
        assert "create Service music" in plan["actions"]
        assert plan["message"] == "2 server pods created; GPUs: 0 now, 2 at the peak, 2 at the end"

    def test_a_new_image_is_planned_and_taken_when_it_is_resumed(self):
        cluster = running()
        before = dict(cluster.pods)
        cluster.change(paused=True, server=IMAGE)
        cluster.live(3)
        assert cluster.pods == before
        assert cluster.status["plan"]["replacedPods"] == 3
        assert cluster.status["plan"]["gpus"] == {"current": 3, "peak": 4, "final": 3}
        cluster.change(paused=False)
        cluster.live(10)
        assert "plan" not in cluster.status
        assert cluster.hashes == [cluster.spec_hash]

    def test_a_rollout_is_not_rolled_back_while_paused_nor_at_once_when_resumed(self):
        cluster = running(2, rollout={**QUICK, "progressDeadlineSeconds": 300})
        good = set(cluster.hashes)
        cluster.change(server=IMAGE)
        cluster.live(2, revisions=good)
        cluster.change(paused=True)
        before, revisions = dict(cluster.pods), dict(cluster.raw)
        cluster.live(20, revisions=good)
        assert (cluster.pods, cluster.raw) == (before, revisions)
        cluster.change(paused=False)
        cluster.live(3, revisions=good)
        assert cluster.reason("Progressing") == "RolloutInProgress"
        cluster.live(10, revisions=good)
        assert cluster.reason("Progressing") == "RolledBack"

    def test_a_failed_and_a_damaged_pod_are_left_alone(self):
        cluster = running(2)
        cluster.damage()
        cluster.change(paused=True)
        before = dict(cluster.pods)
        cluster.live(3)
        assert cluster.pods == before
        assert cluster.status["plan"]["replacedPods"] == 0
        assert cluster.status["plan"]["createdPods"] == 1
        assert any(one.startswith("adopt Pod") for one in cluster.status["plan"]["actions"])
