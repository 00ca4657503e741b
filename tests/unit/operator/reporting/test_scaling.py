"""The parts of the status about capacity, cold starts and cost."""

from dataclasses import replace

from fakes.clusters import Cluster
from fakes.operator_inputs import NOW_S, demand_for, internal_deployment, observed_pod

from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.reporting import scaling
from flamingo_operator.scaling import autoscale
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import (
    DemandAndCapacity,
    DesiredReplicas,
    ScalingState,
    desired_replicas,
)


def capacity_of(rates, state=None):
    state = state or ScalingState(autoscale.AutoscalerState(1))
    signals = DemandAndCapacity(demand_for(1.0), rates=rates)
    desired = desired_replicas(internal_deployment().spec, signals, state, PodCounts(1), NOW_S)
    told = scaling.capacity_status(desired)
    return desired, told.model_dump(by_alias=True)


def test_capacity_is_reported_by_product_in_two_digits_and_not_changed_by_noise():
    desired, told = capacity_of({"NVIDIA-L40S": 12.34, "NVIDIA-H100": 40.4})
    assert told == {
        "audioSecondsPerSecond": "12",
        "perProduct": [
            {"product": "NVIDIA-H100", "audioSecondsPerSecond": "40"},
            {"product": "NVIDIA-L40S", "audioSecondsPerSecond": "12"},
        ],
    }
    noisy = {"NVIDIA-L40S": 13.1, "NVIDIA-H100": 38.0}
    assert capacity_of(noisy, desired.state)[1] == told
    assert capacity_of({**noisy, "NVIDIA-L40S": 20.0}, desired.state)[1] != told


def test_cold_starts_are_summarized_and_a_late_recovery_is_not_one():
    def started(load_s):
        return ColdStartPhases(schedule_s=2, image_pull_s=10, load_s=load_s)

    seen = replace(
        Cluster.of().observed,
        pods=(
            observed_pod("a", start=started(60)),
            observed_pod("b", start=started(80)),
            observed_pod("c", start=started(90_000)),
            observed_pod("d"),
        ),
    )
    told = cold_starts_of(seen)
    phases = {"scheduleSeconds": 2, "imagePullSeconds": 10, "loadSeconds": 70}
    assert told == {"numStarts": 2, "p50Seconds": 72, "p95Seconds": 92, "phases": phases}
    assert scaling.cold_start_status(internal_deployment().spec, Cluster.of().observed, {}) is None
    # Who begins has not asked the servers yet: what they told before stands.
    parts = phases | {"fetchSeconds": 20, "loadSeconds": 40, "warmupSeconds": 10}
    before = told | {"phases": parts}
    assert cold_starts_of(seen, before) == before
    assert cold_starts_of(seen, before | {"numStarts": 3}) == told


def cold_starts_of(seen, old=None):
    told = scaling.cold_start_status(internal_deployment().spec, seen, old or {})
    return told.model_dump(by_alias=True, exclude_none=True)


def test_cost_counts_the_pods_that_occupy_a_gpu():
    given = internal_deployment(cost={"gpuPerHour": "1.90"}).spec
    pods = (
        observed_pod("a", node="n"),
        observed_pod("b", node="n", is_terminating=True),
        observed_pod("c"),
    )
    seen = replace(Cluster.of().observed, pods=pods)
    measured, _ = capacity_of({"unknown": 12.0})
    told = scaling.cost_status(given, seen, measured).model_dump(by_alias=True)
    assert told == {"perHour": "3.80", "perAudioHour": "0.1583", "currency": "USD"}
    assert scaling.cost_status(given, seen, DesiredReplicas(1)).per_audio_hour is None
    assert scaling.cost_status(internal_deployment().spec, seen, measured) is None
