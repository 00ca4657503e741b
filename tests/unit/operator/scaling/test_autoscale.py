"""How many replicas the autoscaler decides on: examples, and what always holds."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from bench import autoscale_sim
from hypothesis import given
from hypothesis import strategies as st

from flamingo_operator.api.scaling import Scaling
from flamingo_operator.scaling.autoscale import (
    MAX_HISTORY,
    SIGNAL_LOSS_GRACE_S,
    AutoscalerState,
    PodCounts,
    ScalingInputs,
    scaling_decision,
)
from flamingo_operator.scaling.demand import (
    AudioDemand,
    Demand,
)
from flamingo_operator.scaling.schedule import ReplicaLimits

RATE = 12.0

TICK_S = 10.0


def spec(**fields):
    return Scaling.model_validate(
        {"mode": "Internal", "minReplicas": 1, "maxReplicas": 10, **fields}
    )


def demand_of(arriving=0.0, queued=0.0, backlog_s=0.0, *, partial=False):
    idle = not (arriving or queued or backlog_s)
    return Demand(
        AudioDemand(arriving),
        AudioDemand(),
        AudioDemand(queued),
        backlog_s,
        is_idle=idle,
        is_partial=partial,
    )


def decide(scaling, wanted, state, *, now_s=1e6, ready=None, draining=0, bounds=None):
    ready = state.desired if ready is None else ready
    inputs = ScalingInputs(now_s, wanted, PodCounts(ready, draining), RATE)
    limits = bounds or ReplicaLimits(scaling.min_replicas, scaling.max_replicas)
    return scaling_decision(scaling, limits, inputs, state)


def driven(scaling, demands, state, *, start_s=1e6):
    """Yield a decision each tick; what is decided is there at once."""
    for tick, wanted in enumerate(demands):
        decision = decide(scaling, wanted, state, now_s=start_s + tick * TICK_S)
        state = decision.state
        yield decision


def last(decisions):
    *_, decision = decisions
    return decision


def test_arriving_audio_takes_the_target_share_of_the_capacity():
    found = last(driven(spec(), [demand_of(arriving=31.0)] * 5, AutoscalerState(1)))
    assert found.replicas == 4  # 31 / (12 x 0.75) = 3.4
    assert found.message == "5-minute arrival rate requires 3.4 replicas"
    assert [change.reason for change in found.state.history] == ["ArrivalRate"]


def test_queued_work_is_done_within_the_target_time():
    found = decide(
        spec(), demand_of(arriving=1.0, queued=1200.0, backlog_s=80.0), AutoscalerState(1)
    )
    assert (found.replicas, found.reason) == (3, "QueueWait")  # (100 + 80) s / 60 s


def test_the_last_minute_may_take_all_of_the_capacity():
    burst = replace(demand_of(arriving=1.0), burst=AudioDemand(30.0))
    found = decide(spec(), burst, AutoscalerState(1))
    assert (found.replicas, found.reason) == (3, "Burst")


def test_few_are_added_at_once():
    found = decide(spec(scaleUp={"maxStep": 2}), demand_of(arriving=90.0), AutoscalerState(1))
    assert (found.replicas, found.bound) == (3, "Step")


def test_none_is_added_while_enough_are_starting():
    scaling = spec(scaleUp={"maxPending": 2})
    assert decide(scaling, demand_of(arriving=90.0), AutoscalerState(3), ready=1).bound == "Pending"
    assert decide(scaling, demand_of(arriving=90.0), AutoscalerState(3), ready=1).replicas == 3
    assert decide(scaling, demand_of(arriving=90.0), AutoscalerState(3), ready=2).replicas == 4


def test_a_need_must_last_before_pods_are_added():
    scaling = spec(scaleUp={"stabilizationSeconds": 60})
    decisions = list(driven(scaling, [demand_of(arriving=20.0)] * 10, AutoscalerState(1)))
    assert [one.replicas for one in decisions[:6]] == [1] * 6
    assert decisions[0].bound == "Stabilization"
    assert decisions[-1].replicas == 3


def test_pods_are_removed_one_by_one_when_they_were_not_needed_for_long():
    decisions = list(driven(spec(), [demand_of(arriving=1.0)] * 40, AutoscalerState(4)))
    numbers = [one.replicas for one in decisions]
    assert numbers[:30] == [4] * 30
    assert numbers[30:34] == [3, 2, 1, 1]


def test_none_is_drained_while_another_is():
    state = AutoscalerState(4, needs=((0.0, 1),))
    calm = spec(scaleDown={"stabilizationSeconds": 0})
    assert decide(calm, demand_of(arriving=1.0), state, draining=1).replicas == 4
    assert decide(calm, demand_of(arriving=1.0), state, draining=0).replicas == 3


def test_an_operator_that_has_just_initial_removes_nothing():
    assert decide(spec(), demand_of(arriving=1.0), AutoscalerState(5)).replicas == 5


ZERO = {"minReplicas": 0, "scaleToZero": {"idleSeconds": 100}}


def test_the_last_pod_is_removed_after_the_idle_time_and_not_before():
    scaling = spec(**ZERO, scaleDown={"stabilizationSeconds": 0})
    decisions = list(driven(scaling, [demand_of()] * 12, AutoscalerState(1)))
    assert [one.replicas for one in decisions[:10]] == [1] * 10
    assert decisions[10].replicas == 0
    assert decisions[10].reason == "Idle"


def test_the_idle_time_is_the_last_pod_s_only_delay():
    numbers = [one.replicas for one in driven(spec(**ZERO), [demand_of()] * 45, AutoscalerState(2))]
    assert numbers == [2] * 30 + [1] + [0] * 14


def test_one_request_restarts_the_idle_time():
    scaling = spec(**ZERO, scaleDown={"stabilizationSeconds": 0})
    demands = [demand_of()] * 9 + [demand_of(arriving=0.1)] + [demand_of()] * 9
    assert last(driven(scaling, demands, AutoscalerState(1))).replicas == 1


def test_a_queued_request_scales_from_zero_at_once():
    scaling = spec(**ZERO, scaleUp={"stabilizationSeconds": 600})
    found = decide(scaling, demand_of(queued=5.0), AutoscalerState(0))
    assert (found.replicas, found.reason) == (1, "ScaleFromZero")


def test_a_missing_report_does_not_scale_from_zero():
    found = decide(spec(**ZERO), demand_of(partial=True), AutoscalerState(0))
    assert (found.replicas, found.reason) == (0, "Idle")


def test_a_schedule_keeps_pods_without_demand():
    found = decide(spec(), demand_of(), AutoscalerState(1), bounds=ReplicaLimits(3, 10, "office"))
    assert (found.replicas, found.bound, found.reason) == (3, "Schedule", "Limits")


@pytest.mark.parametrize(
    ("policy", "after"), [("Hold", 4), ("MinReplicas", 1), ("MaxReplicas", 10)]
)
def test_without_reports_the_number_is_kept_and_then_onsignalloss_applies(policy, after):
    scaling = spec(onSignalLoss=policy)
    decisions = list(driven(scaling, [None] * 60, AutoscalerState(4)))
    assert all(one.replicas == 4 for one in decisions[: int(SIGNAL_LOSS_GRACE_S / TICK_S)])
    assert decisions[-1].replicas == after
    assert decisions[-1].bound == "SignalLoss"


def test_the_last_pod_stays_without_reports():
    scaling = spec(**ZERO, onSignalLoss="MinReplicas")
    assert last(driven(scaling, [None] * 100, AutoscalerState(1))).replicas == 1


def test_the_first_report_after_a_loss_removes_nothing_at_once():
    decisions = list(
        driven(spec(), [None] * 100 + [demand_of(arriving=1.0)] * 20, AutoscalerState(4))
    )
    assert all(one.replicas == 4 for one in decisions)


def test_reports_of_some_routers_add_pods_and_remove_none():
    fast = spec(scaleDown={"stabilizationSeconds": 0})
    assert decide(fast, demand_of(arriving=1.0, partial=True), AutoscalerState(4)).replicas == 4
    assert decide(fast, demand_of(arriving=60.0, partial=True), AutoscalerState(4)).replicas == 7


def test_history_keeps_the_last_changes():
    demands = [demand_of(arriving=9.0 * number) for number in range(1, 10)]
    history = last(driven(spec(), demands, AutoscalerState(1))).state.history
    assert len(history) == MAX_HISTORY
    assert [(one.before, one.after) for one in history][-2:] == [(7, 8), (8, 9)]


def test_a_reserve_comes_on_top_of_what_the_demand_needs():
    found = last(driven(spec(reserve=2), [demand_of(arriving=31.0)] * 5, AutoscalerState(1)))
    assert (found.replicas, found.reserve, found.bound) == (6, 2, "None")  # 3.4 and 2
    assert found.message == "5-minute arrival rate requires 3.4 replicas, plus 2 in reserve"
    assert found.needed == pytest.approx(3.44, abs=0.01)


def test_a_reserve_may_be_a_share_of_what_the_demand_needs():
    quarter = spec(reserve="25%")
    found = last(driven(quarter, [demand_of(arriving=31.0)] * 5, AutoscalerState(1)))
    assert (found.replicas, found.reserve) == (5, 1)  # 3.4 and 0.9
    assert found.message == "5-minute arrival rate requires 3.4 replicas, plus 25% in reserve"


def test_the_maximum_limits_the_reserve_before_it_limits_the_demand():
    scaling = spec(reserve=3, maxReplicas=5)
    found = last(driven(scaling, [demand_of(arriving=31.0)] * 5, AutoscalerState(1)))
    assert (found.replicas, found.reserve, found.bound) == (5, 1, "Max")
    minimum = decide(scaling, demand_of(), AutoscalerState(4), bounds=ReplicaLimits(4, 5, "office"))
    assert (minimum.replicas, minimum.reserve, minimum.bound) == (4, 3, "Stabilization")


def test_an_idle_fleet_keeps_its_reserve_for_the_idle_time_and_then_goes_to_zero():
    scaling = spec(**ZERO, reserve=2, scaleDown={"stabilizationSeconds": 0})
    decisions = list(driven(scaling, [demand_of()] * 14, AutoscalerState(3)))
    assert [one.replicas for one in decisions] == [2] * 10 + [1, 0, 0, 0]
    assert (decisions[0].reason, decisions[0].reserve) == ("Reserve", 2)
    assert decisions[0].message == "no requests arriving, queued or running; 2 in reserve"
    assert (decisions[-1].reason, decisions[-1].reserve) == ("Idle", 0)


def test_a_fleet_without_server_pods_starts_its_reserve_with_the_first_request():
    asleep = spec(**ZERO, reserve=2)
    assert decide(asleep, demand_of(), AutoscalerState(0)).replicas == 0
    woken = decide(asleep, demand_of(queued=5.0), AutoscalerState(0))
    assert (woken.replicas, woken.reason, woken.reserve) == (3, "ScaleFromZero", 2)


def test_an_idle_fleet_falls_to_its_minimum_without_a_reserve():
    scaling = spec(minReplicas=1, reserve=3, scaleToZero={"idleSeconds": 30})
    numbers = [one.replicas for one in driven(scaling, [demand_of()] * 8, AutoscalerState(3))]
    assert numbers == [3, 3, 3, 2, 1, 1, 1, 1]


@given(
    load=st.floats(0.1, 80),
    initial=st.integers(1, 10),
    reserve=st.one_of(st.integers(0, 5), st.integers(0, 100).map("{}%".format)),
)
def test_a_constant_load_leaves_the_reserve_free(load, initial, reserve):
    scaling = spec(reserve=reserve, maxReplicas=60)
    decisions = list(driven(scaling, [demand_of(arriving=load)] * 200, AutoscalerState(initial)))
    assert len({one.replicas for one in decisions[-60:]}) == 1
    found, needed = decisions[-1], load / (RATE * 0.75)
    part = reserve if isinstance(reserve, int) else needed * int(reserve[:-1]) / 100
    assert found.replicas >= (needed + part) / 1.1 - 1e-6
    assert found.replicas <= 1.1 * (needed + part) + 1
    assert 0 <= found.reserve <= found.replicas


loads = st.one_of(
    st.none(),
    st.builds(
        demand_of,
        st.floats(0, 500),
        st.floats(0, 5000),
        st.floats(0, 5000),
        partial=st.booleans(),
    ),
)

scalings = st.builds(
    lambda fewest, more, up_s, down_s, step, pending, policy, reserve: spec(
        minReplicas=fewest,
        maxReplicas=max(1, fewest + more),
        reserve=reserve,
        scaleUp={"stabilizationSeconds": up_s, "maxStep": step, "maxPending": pending},
        scaleDown={"stabilizationSeconds": down_s, "maxStep": step},
        onSignalLoss=policy,
    ),
    st.integers(0, 5),
    st.integers(0, 20),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(1, 5),
    st.integers(1, 5),
    st.sampled_from(["Hold", "MinReplicas", "MaxReplicas"]),
    st.sampled_from([0, 1, 3, "0%", "20%", "100%"]),
)


@given(
    scaling=scalings, demands=st.lists(loads, min_size=1, max_size=40), initial=st.integers(0, 40)
)
def test_whatever_happens_limits_and_steps_hold(scaling, demands, initial):
    before = initial
    for decision in driven(scaling, demands, AutoscalerState(initial)):
        assert scaling.min_replicas <= decision.replicas <= scaling.max_replicas
        if scaling.min_replicas <= before <= scaling.max_replicas:
            step = scaling.scale_up.max_step
            assert -step <= decision.replicas - before <= step
        before = decision.replicas


@given(
    scaling=scalings,
    demands=st.lists(loads, max_size=10),
    initial=st.integers(1, 20),
    first=st.floats(0, 500),
    more=st.floats(0, 500),
)
def test_more_load_never_means_fewer_pods(scaling, demands, initial, first, more):
    state = AutoscalerState(initial)
    for decision in driven(scaling, demands, state):
        state = decision.state
    now_s = 1e6 + len(demands) * TICK_S
    light = decide(scaling, demand_of(arriving=first), state, now_s=now_s)
    heavy = decide(scaling, demand_of(arriving=first + more), state, now_s=now_s)
    assert heavy.replicas >= light.replicas


@given(load=st.floats(0.1, 80), initial=st.integers(1, 10))
def test_a_constant_load_is_settled_and_then_left_alone(load, initial):
    numbers = [
        one.replicas
        for one in driven(spec(), [demand_of(arriving=load)] * 200, AutoscalerState(initial))
    ]
    assert len(set(numbers[-60:])) == 1
    carried = numbers[-1] * RATE * 0.75 * 1.1
    assert carried >= load or numbers[-1] == 10


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_a_tenth_does_not_make_the_number_flap(seed):
    rng = random.Random(seed)
    load = rng.uniform(10, 80)
    noisy = [demand_of(arriving=load * rng.uniform(0.9, 1.1)) for _ in range(720)]
    decisions = list(driven(spec(), noisy, AutoscalerState(1)))
    numbers = [one.replicas for one in decisions[60:]]
    changes = sum(one != other for one, other in pairwise(numbers))
    assert changes <= 2


def test_a_router_s_prediction_takes_precedence_over_measured_capacity():
    predicted = replace(demand_of(arriving=500.0), arriving=AudioDemand(500.0, work_s=1.5))
    assert decide(spec(), predicted, AutoscalerState(1)).replicas == 2  # 1.5 / 0.75


def test_in_the_simulation_scaling_on_audio_takes_fewer_gpu_hours():
    clips = [list(autoscale_sim.trace(seed)) for seed in range(4)]

    def outcomes(make):
        found = [autoscale_sim.Simulation(one, make()).run() for one in clips]
        return (
            sum(one.gpu_hours for one in found) / len(found),
            sum(one.in_time for one in found) / len(found),
        )

    ours_h, ours_in_time = outcomes(lambda: autoscale_sim.by_audio(75))
    theirs_h, theirs_in_time = outcomes(lambda: autoscale_sim.by_requests(2))
    assert ours_in_time >= theirs_in_time
    assert ours_h < 0.95 * theirs_h
