"""What the operator counts of servers: starts, drains and decisions that it saw itself."""

from dataclasses import replace

from fakes.clusters import Cluster
from prometheus_client import generate_latest

from flamingo_common.wire.report import StartReport
from flamingo_operator.cluster import cold_start
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.cluster.observed import Load, Observed
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.telemetry.server_lifecycle import (
    EndedDrain,
    LifecycleEvents,
    lifecycle_events,
)

QUICK = {"minReadySeconds": 0}
START = ColdStartPhases(schedule_s=2.0, image_pull_s=3.0, load_s=55.0)
SPLIT = cold_start.with_start_report(START, StartReport(fetch_s=10.0, load_s=40.0, warm_s=5.0))
LONGEST_START_S = 1800.0


class Watcher:
    """Looks at a cluster after each move, as the operator does."""

    def __init__(self, cluster):
        self.cluster, self.states = cluster, {}
        self.starts, self.drains = [], []

    def observe(self):
        decision = self.cluster.decide()
        self.states, events = lifecycle_events(
            self.states,
            self.cluster.observed,
            decision.actions,
            self.cluster.now_s,
            LONGEST_START_S,
        )
        self.starts += events.starts
        self.drains += events.drains
        self.cluster.operate()

    def observe_until_gone(self, num_left):
        while len(self.cluster.pods) > num_left:
            self.observe()
            self.observe()  # who is deleted is there for a while
            self.cluster.end()
            self.cluster.wait(1)
        self.observe()


def two():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    return Watcher(cluster)


def seen(start):
    return Observed(pods=tuple(replace(pod, start=start) for pod in two().cluster.pods.values()))


def test_a_start_is_counted_once_by_who_saw_it_from_the_beginning():
    loading, ready, split = seen(None), seen(START), seen(SPLIT)
    states, events = lifecycle_events({}, loading, (), 0.0, LONGEST_START_S)
    assert events.starts == []
    states, events = lifecycle_events(states, ready, (), 1.0, LONGEST_START_S)
    assert (events.starts, events.process_phases) == ([START, START], [])
    assert lifecycle_events(states, ready, (), 2.0, LONGEST_START_S)[1] == LifecycleEvents()
    # What the process did in it comes later, from a router.
    states, events = lifecycle_events(states, split, (), 3.0, LONGEST_START_S)
    assert (events.starts, events.process_phases) == ([], [SPLIT, SPLIT])
    assert lifecycle_events(states, split, (), 4.0, LONGEST_START_S)[1] == LifecycleEvents()


def test_servers_that_were_ready_before_are_no_starts_of_a_successor_s_time():
    states, events = lifecycle_events({}, seen(START), (), 0.0, LONGEST_START_S)
    assert events == LifecycleEvents()
    assert lifecycle_events(states, seen(SPLIT), (), 1.0, LONGEST_START_S)[1] == LifecycleEvents()


def test_a_server_that_is_ready_again_is_no_start():
    states, _ = lifecycle_events({}, seen(None), (), 0.0, 59.0)
    assert lifecycle_events(states, seen(SPLIT), (), 1.0, 59.0)[1] == LifecycleEvents()


def test_a_drain_is_finished_when_the_server_is_gone():
    watcher = two()
    watcher.observe()
    watcher.cluster.loads = {name: Load(0.0, 0) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.observe_until_gone(1)
    ((result, duration_s),) = [(one.result, one.duration_s) for one in watcher.drains]
    assert result == "finished"
    assert 5.0 <= duration_s <= 8.0


def test_a_drain_that_reaches_its_deadline_has_its_own_result():
    watcher = two()
    watcher.observe()
    watcher.cluster.loads = {name: Load(20.0, 3) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.observe_until_gone(1)
    assert [one.result for one in watcher.drains] == ["deadline"]


def test_a_drain_that_is_cancelled_has_its_own_result():
    watcher = two()
    watcher.observe()
    watcher.cluster.loads = {name: Load(100.0, 3) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.observe()
    watcher.observe()
    watcher.cluster.change(replicas=2)
    watcher.observe()
    watcher.observe()
    assert [one.result for one in watcher.drains] == ["cancelled"]


def test_the_end_of_a_drain_is_seen_by_a_successor_too():
    watcher = two()
    watcher.cluster.loads = {name: Load(0.0, 0) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.observe()
    successor = Watcher(watcher.cluster)
    successor.observe_until_gone(1)
    assert [one.result for one in successor.drains] == ["finished"]


def test_a_server_that_goes_without_a_drain_ends_none():
    watcher = two()
    watcher.observe()
    watcher.cluster.pods.popitem()
    watcher.observe()
    assert watcher.drains == []


def said(metrics):
    return generate_latest(metrics.registry).decode()


def test_metrics_add_up_and_forget_a_fleet_that_is_gone():
    metrics = Metrics()
    metrics.lifecycle.observe_starts([START], [SPLIT])
    metrics.lifecycle.count_drains(
        "audio/music", [EndedDrain("finished", 7.0), EndedDrain("cancelled", 1.0)]
    )
    metrics.lifecycle.count_scale_decision("audio/music", "Max")
    text = said(metrics)
    fleet = 'name="music",namespace="audio"'
    assert 'cold_start_seconds_sum{phase="load"} 40.0' in text
    assert 'cold_start_seconds_sum{phase="total"} 60.0' in text
    assert f'drains_total{{{fleet},result="finished"}} 1.0' in text
    assert f'drains_total{{{fleet},result="cancelled"}} 1.0' in text
    assert "drain_seconds_sum 7.0" in text
    assert f'scale_decisions_total{{bound="Max",{fleet}}} 1.0' in text
    metrics.remove("audio/music")
    assert fleet not in said(metrics)


def test_what_a_status_says_is_read_when_somebody_asks():
    metrics = Metrics()
    ready = {"type": "Ready", "status": "Unknown"}
    judged = {"readyReplicas": 2, "scaling": {"desiredReplicas": 3}, "conditions": [ready]}
    metrics.fleets.statuses = lambda: [("audio/music", judged), ("audio/new", {})]
    text = said(metrics)
    assert 'operator_replicas{name="music",namespace="audio",state="ready"} 2.0' in text
    assert 'operator_replicas{name="music",namespace="audio",state="draining"} 0.0' in text
    assert 'desired_replicas{name="music",namespace="audio"} 3.0' in text
    assert 'condition{name="music",namespace="audio",type="Ready"} -1.0' in text
    assert "new" not in text
