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
LONGEST_S = 1800.0


class Watcher:
    """Looks at a cluster after each move, as the operator does."""

    def __init__(self, cluster):
        self.cluster, self.lifecycle = cluster, {}
        self.starts, self.drains = [], []

    def look(self):
        decision = self.cluster.decide()
        self.lifecycle, told = lifecycle_events(
            self.lifecycle, self.cluster.observed, decision.actions, self.cluster.now_s, LONGEST_S
        )
        self.starts += told.starts
        self.drains += told.drains
        self.cluster.operate()

    def look_until_gone(self, num_left):
        while len(self.cluster.pods) > num_left:
            self.look()
            self.look()  # who is deleted is there for a while
            self.cluster.end()
            self.cluster.wait(1)
        self.look()


def two():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    return Watcher(cluster)


def seen(start):
    return Observed(pods=tuple(replace(pod, start=start) for pod in two().cluster.pods.values()))


def test_a_start_is_counted_once_by_who_saw_it_from_the_beginning():
    loading, ready, split = seen(None), seen(START), seen(SPLIT)
    lives, told = lifecycle_events({}, loading, (), 0.0, LONGEST_S)
    assert told.starts == []
    lives, told = lifecycle_events(lives, ready, (), 1.0, LONGEST_S)
    assert (told.starts, told.process_phases) == ([START, START], [])
    assert lifecycle_events(lives, ready, (), 2.0, LONGEST_S)[1] == LifecycleEvents()
    # What the process did in it comes later, from a router.
    lives, told = lifecycle_events(lives, split, (), 3.0, LONGEST_S)
    assert (told.starts, told.process_phases) == ([], [SPLIT, SPLIT])
    assert lifecycle_events(lives, split, (), 4.0, LONGEST_S)[1] == LifecycleEvents()


def test_servers_that_were_ready_before_are_no_starts_of_a_successor_s_time():
    lives, told = lifecycle_events({}, seen(START), (), 0.0, LONGEST_S)
    assert told == LifecycleEvents()
    assert lifecycle_events(lives, seen(SPLIT), (), 1.0, LONGEST_S)[1] == LifecycleEvents()


def test_a_server_that_is_ready_again_is_no_start():
    lives, _ = lifecycle_events({}, seen(None), (), 0.0, 59.0)
    assert lifecycle_events(lives, seen(SPLIT), (), 1.0, 59.0)[1] == LifecycleEvents()


def test_a_drain_is_finished_when_the_server_is_gone():
    watcher = two()
    watcher.look()
    watcher.cluster.loads = {name: Load(0.0, 0) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.look_until_gone(1)
    ((end, took_s),) = [(one.end, one.took_s) for one in watcher.drains]
    assert end == "finished"
    assert 5.0 <= took_s <= 8.0


def test_a_drain_that_is_cut_is_told_apart():
    watcher = two()
    watcher.look()
    watcher.cluster.loads = {name: Load(20.0, 3) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.look_until_gone(1)
    assert [one.end for one in watcher.drains] == ["deadline"]


def test_a_drain_that_is_taken_back_is_told_apart():
    watcher = two()
    watcher.look()
    watcher.cluster.loads = {name: Load(100.0, 3) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.look()
    watcher.look()
    watcher.cluster.change(replicas=2)
    watcher.look()
    watcher.look()
    assert [one.end for one in watcher.drains] == ["taken_back"]


def test_the_end_of_a_drain_is_seen_by_a_successor_too():
    watcher = two()
    watcher.cluster.loads = {name: Load(0.0, 0) for name in watcher.cluster.pods}
    watcher.cluster.change(replicas=1)
    watcher.look()
    successor = Watcher(watcher.cluster)
    successor.look_until_gone(1)
    assert [one.end for one in successor.drains] == ["finished"]


def test_a_server_that_goes_without_a_drain_ends_none():
    watcher = two()
    watcher.look()
    watcher.cluster.pods.popitem()
    watcher.look()
    assert watcher.drains == []


def said(metrics):
    return generate_latest(metrics.registry).decode()


def test_metrics_add_up_and_forget_a_fleet_that_is_gone():
    metrics = Metrics()
    metrics.lifecycle.observe_starts([START], [SPLIT])
    metrics.lifecycle.count_drains(
        "audio/music", [EndedDrain("finished", 7.0), EndedDrain("taken_back", 1.0)]
    )
    metrics.lifecycle.count_scale_decision("audio/music", "Max")
    text = said(metrics)
    fleet = 'name="music",namespace="audio"'
    assert 'cold_start_seconds_sum{phase="load"} 40.0' in text
    assert 'cold_start_seconds_sum{phase="total"} 60.0' in text
    assert f'drains_total{{{fleet},result="finished"}} 1.0' in text
    assert f'drains_total{{{fleet},result="taken_back"}} 1.0' in text
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
