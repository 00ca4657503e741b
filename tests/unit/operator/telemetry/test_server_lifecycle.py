"""Starts and drains of server pods, as one process observes them."""

from dataclasses import replace

from fakes.clusters import Cluster

from flamingo_common.wire.report import StartReport
from flamingo_operator.cluster import cold_start
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.cluster.observed import Load, Observed
from flamingo_operator.telemetry.server_lifecycle import (
    LifecycleEvents,
    lifecycle_events,
)

QUICK = {"minReadySeconds": 0}
START = ColdStartPhases(schedule_s=2.0, image_pull_s=3.0, load_s=55.0)
SPLIT = cold_start.with_start_report(START, StartReport(fetch_s=10.0, load_s=40.0, warm_s=5.0))
LONGEST_START_S = 1800.0


class Observer:
    """Observes a cluster after each move, as the operator does."""

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
            self.observe()  # a deleted pod terminates for a while
            self.cluster.end()
            self.cluster.wait(1)
        self.observe()


def observer_of_two_pods():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    return Observer(cluster)


def observed_with(start):
    pods = observer_of_two_pods().cluster.pods.values()
    return Observed(pods=tuple(replace(pod, start=start) for pod in pods))


def test_a_start_that_was_observed_from_its_beginning_is_counted_once():
    loading, ready, split = observed_with(None), observed_with(START), observed_with(SPLIT)
    states, events = lifecycle_events({}, loading, (), 0.0, LONGEST_START_S)
    assert events.starts == []
    states, events = lifecycle_events(states, ready, (), 1.0, LONGEST_START_S)
    assert (events.starts, events.process_phases) == ([START, START], [])
    assert lifecycle_events(states, ready, (), 2.0, LONGEST_START_S)[1] == LifecycleEvents()
    # The phases of the process arrive later, through a router.
    states, events = lifecycle_events(states, split, (), 3.0, LONGEST_START_S)
    assert (events.starts, events.process_phases) == ([], [SPLIT, SPLIT])
    assert lifecycle_events(states, split, (), 4.0, LONGEST_START_S)[1] == LifecycleEvents()


def test_pods_that_were_ready_before_do_not_count_as_starts():
    states, events = lifecycle_events({}, observed_with(START), (), 0.0, LONGEST_START_S)
    assert events == LifecycleEvents()
    assert (
        lifecycle_events(states, observed_with(SPLIT), (), 1.0, LONGEST_START_S)[1]
        == LifecycleEvents()
    )


def test_a_pod_that_becomes_ready_again_does_not_count_as_a_start():
    states, _ = lifecycle_events({}, observed_with(None), (), 0.0, 59.0)
    assert lifecycle_events(states, observed_with(SPLIT), (), 1.0, 59.0)[1] == LifecycleEvents()


def test_a_drain_is_finished_when_the_pod_is_gone():
    observer = observer_of_two_pods()
    observer.observe()
    observer.cluster.loads = {name: Load(0.0, 0) for name in observer.cluster.pods}
    observer.cluster.change(replicas=1)
    observer.observe_until_gone(1)
    ((result, duration_s),) = [(one.result, one.duration_s) for one in observer.drains]
    assert result == "finished"
    assert 5.0 <= duration_s <= 8.0


def test_a_drain_that_reaches_its_deadline_has_its_own_result():
    observer = observer_of_two_pods()
    observer.observe()
    observer.cluster.loads = {name: Load(20.0, 3) for name in observer.cluster.pods}
    observer.cluster.change(replicas=1)
    observer.observe_until_gone(1)
    assert [one.result for one in observer.drains] == ["deadline"]


def test_a_drain_that_is_cancelled_has_its_own_result():
    observer = observer_of_two_pods()
    observer.observe()
    observer.cluster.loads = {name: Load(100.0, 3) for name in observer.cluster.pods}
    observer.cluster.change(replicas=1)
    observer.observe()
    observer.observe()
    observer.cluster.change(replicas=2)
    observer.observe()
    observer.observe()
    assert [one.result for one in observer.drains] == ["cancelled"]


def test_a_new_leader_observes_the_end_of_a_drain():
    observer = observer_of_two_pods()
    observer.cluster.loads = {name: Load(0.0, 0) for name in observer.cluster.pods}
    observer.cluster.change(replicas=1)
    observer.observe()
    successor = Observer(observer.cluster)
    successor.observe_until_gone(1)
    assert [one.result for one in successor.drains] == ["finished"]


def test_a_pod_that_disappears_without_a_drain_ends_no_drain():
    observer = observer_of_two_pods()
    observer.observe()
    observer.cluster.pods.popitem()
    observer.observe()
    assert observer.drains == []
