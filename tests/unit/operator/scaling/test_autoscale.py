"""How many servers there should be: what holds always, and what one sees from outside."""

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
    MAX_AGE_S,
    AudioDemand,
    Demand,
    DemandReport,
    fleet_demand,
    parse_report,
)
from flamingo_operator.scaling.schedule import ReplicaLimits

RATE = 12.0
TICK_S = 10.0


def spec(**fields):
    return Scaling.model_validate(
        {"mode": "Internal", "minReplicas": 1, "maxReplicas": 10, **fields}
    )


def asked(arriving=0.0, queued=0.0, backlog_s=0.0, *, partial=False):
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
    sight = ScalingInputs(now_s, wanted, PodCounts(ready, draining), RATE)
    held = bounds or ReplicaLimits(scaling.min_replicas, scaling.max_replicas)
    return scaling_decision(scaling, held, sight, state)


def driven(scaling, demands, state, *, start_s=1e6):
    """Yield a decision each tick; what is decided is there at once."""
    for tick, wanted in enumerate(demands):
        decision = decide(scaling, wanted, state, now_s=start_s + tick * TICK_S)
        state = decision.state
        yield decision


def last(decisions):
    *_, decision = decisions
    return decision


def test_arriving_audio_takes_the_wanted_share_of_the_capacity():
    found = last(driven(spec(), [asked(arriving=31.0)] * 5, AutoscalerState(1)))
    assert found.replicas == 4  # 31 / (12 x 0.75) = 3.4
    assert found.message == "5-minute arrival rate requires 3.4 replicas"
    assert [change.reason for change in found.state.history] == ["ArrivalRate"]


def test_waiting_work_is_done_within_the_wanted_time():
    found = decide(spec(), asked(arriving=1.0, queued=1200.0, backlog_s=80.0), AutoscalerState(1))
    assert (found.replicas, found.reason) == (3, "QueueWait")  # (100 + 80) s / 60 s


def test_the_last_minute_may_take_all_of_the_capacity():
    burst = replace(asked(arriving=1.0), burst=AudioDemand(30.0))
    found = decide(spec(), burst, AutoscalerState(1))
    assert (found.replicas, found.reason) == (3, "Burst")


def test_few_are_added_at_once():
    found = decide(spec(scaleUp={"maxStep": 2}), asked(arriving=90.0), AutoscalerState(1))
    assert (found.replicas, found.bound) == (3, "Step")


def test_none_is_added_while_enough_are_starting():
    scaling = spec(scaleUp={"maxPending": 2})
    assert decide(scaling, asked(arriving=90.0), AutoscalerState(3), ready=1).bound == "Pending"
    assert decide(scaling, asked(arriving=90.0), AutoscalerState(3), ready=1).replicas == 3
    assert decide(scaling, asked(arriving=90.0), AutoscalerState(3), ready=2).replicas == 4


def test_a_need_must_last_before_servers_are_added():
    scaling = spec(scaleUp={"stabilizationSeconds": 60})
    decisions = list(driven(scaling, [asked(arriving=20.0)] * 10, AutoscalerState(1)))
    assert [one.replicas for one in decisions[:6]] == [1] * 6
    assert decisions[0].bound == "Stabilization"
    assert decisions[-1].replicas == 3


def test_servers_go_one_by_one_when_they_were_not_needed_for_long():
    decisions = list(driven(spec(), [asked(arriving=1.0)] * 40, AutoscalerState(4)))
    numbers = [one.replicas for one in decisions]
    assert numbers[:30] == [4] * 30
    assert numbers[30:34] == [3, 2, 1, 1]


def test_none_is_drained_while_another_is():
    state = AutoscalerState(4, needs=((0.0, 1),))
    calm = spec(scaleDown={"stabilizationSeconds": 0})
    assert decide(calm, asked(arriving=1.0), state, draining=1).replicas == 4
    assert decide(calm, asked(arriving=1.0), state, draining=0).replicas == 3


def test_an_operator_that_has_just_begun_removes_nothing():
    assert decide(spec(), asked(arriving=1.0), AutoscalerState(5)).replicas == 5


ZERO = {"minReplicas": 0, "scaleToZero": {"idleSeconds": 100}}


def test_the_last_server_goes_after_the_idle_time_and_not_before():
    scaling = spec(**ZERO, scaleDown={"stabilizationSeconds": 0})
    decisions = list(driven(scaling, [asked()] * 12, AutoscalerState(1)))
    assert [one.replicas for one in decisions[:10]] == [1] * 10
    assert decisions[10].replicas == 0
    assert decisions[10].reason == "Idle"


def test_the_idle_time_is_the_last_server_s_only_delay():
    numbers = [one.replicas for one in driven(spec(**ZERO), [asked()] * 45, AutoscalerState(2))]
    assert numbers == [2] * 30 + [1] + [0] * 14


def test_one_request_begins_the_idle_time_anew():
    scaling = spec(**ZERO, scaleDown={"stabilizationSeconds": 0})
    demands = [asked()] * 9 + [asked(arriving=0.1)] + [asked()] * 9
    assert last(driven(scaling, demands, AutoscalerState(1))).replicas == 1


def test_a_held_request_wakes_the_fleet_at_once():
    scaling = spec(**ZERO, scaleUp={"stabilizationSeconds": 600})
    found = decide(scaling, asked(queued=5.0), AutoscalerState(0))
    assert (found.replicas, found.reason) == (1, "ScaleFromZero")


def test_a_router_that_is_not_heard_wakes_nobody():
    found = decide(spec(**ZERO), asked(partial=True), AutoscalerState(0))
    assert (found.replicas, found.reason) == (0, "Idle")


def test_a_schedule_keeps_servers_that_nobody_asks_for():
    found = decide(spec(), asked(), AutoscalerState(1), bounds=ReplicaLimits(3, 10, "office"))
    assert (found.replicas, found.bound, found.reason) == (3, "Schedule", "Limits")


@pytest.mark.parametrize(
    ("policy", "after"), [("Hold", 4), ("MinReplicas", 1), ("MaxReplicas", 10)]
)
def test_a_lost_signal_holds_and_then_does_what_the_spec_says(policy, after):
    scaling = spec(onSignalLoss=policy)
    decisions = list(driven(scaling, [None] * 60, AutoscalerState(4)))
    assert all(one.replicas == 4 for one in decisions[: int(SIGNAL_LOSS_GRACE_S / TICK_S)])
    assert decisions[-1].replicas == after
    assert decisions[-1].bound == "SignalLoss"


def test_the_last_server_stays_when_nobody_can_be_asked():
    scaling = spec(**ZERO, onSignalLoss="MinReplicas")
    assert last(driven(scaling, [None] * 100, AutoscalerState(1))).replicas == 1


def test_a_signal_that_returns_removes_nothing_at_once():
    decisions = list(driven(spec(), [None] * 100 + [asked(arriving=1.0)] * 20, AutoscalerState(4)))
    assert all(one.replicas == 4 for one in decisions)


def test_part_of_a_signal_adds_and_does_not_remove():
    fast = spec(scaleDown={"stabilizationSeconds": 0})
    assert decide(fast, asked(arriving=1.0, partial=True), AutoscalerState(4)).replicas == 4
    assert decide(fast, asked(arriving=60.0, partial=True), AutoscalerState(4)).replicas == 7


def test_history_keeps_the_last_changes():
    demands = [asked(arriving=9.0 * number) for number in range(1, 10)]
    history = last(driven(spec(), demands, AutoscalerState(1))).state.history
    assert len(history) == MAX_HISTORY
    assert [(one.before, one.after) for one in history][-2:] == [(7, 8), (8, 9)]


loads = st.one_of(
    st.none(),
    st.builds(
        asked,
        st.floats(0, 500),
        st.floats(0, 5000),
        st.floats(0, 5000),
        partial=st.booleans(),
    ),
)
scalings = st.builds(
    lambda fewest, more, up_s, down_s, step, pending, policy: spec(
        minReplicas=fewest,
        maxReplicas=max(1, fewest + more),
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
)


@given(scaling=scalings, demands=st.lists(loads, min_size=1, max_size=40), begun=st.integers(0, 40))
def test_whatever_happens_the_bounds_and_steps_hold(scaling, demands, begun):
    before = begun
    for decision in driven(scaling, demands, AutoscalerState(begun)):
        assert scaling.min_replicas <= decision.replicas <= scaling.max_replicas
        if scaling.min_replicas <= before <= scaling.max_replicas:
            step = scaling.scale_up.max_step
            assert -step <= decision.replicas - before <= step
        before = decision.replicas


@given(
    scaling=scalings,
    demands=st.lists(loads, max_size=10),
    begun=st.integers(1, 20),
    first=st.floats(0, 500),
    more=st.floats(0, 500),
)
def test_more_load_never_means_fewer_servers(scaling, demands, begun, first, more):
    state = AutoscalerState(begun)
    for decision in driven(scaling, demands, state):
        state = decision.state
    now_s = 1e6 + len(demands) * TICK_S
    light = decide(scaling, asked(arriving=first), state, now_s=now_s)
    heavy = decide(scaling, asked(arriving=first + more), state, now_s=now_s)
    assert heavy.replicas >= light.replicas


@given(load=st.floats(0.1, 80), begun=st.integers(1, 10))
def test_a_constant_load_is_settled_and_then_left_alone(load, begun):
    numbers = [
        one.replicas for one in driven(spec(), [asked(arriving=load)] * 200, AutoscalerState(begun))
    ]
    assert len(set(numbers[-60:])) == 1
    carried = numbers[-1] * RATE * 0.75 * 1.1
    assert carried >= load or numbers[-1] == 10


@pytest.mark.parametrize("seed", range(5))
def test_noise_of_a_tenth_does_not_make_the_number_flap(seed):
    dice = random.Random(seed)
    load = dice.uniform(10, 80)
    noisy = [asked(arriving=load * dice.uniform(0.9, 1.1)) for _ in range(720)]
    decisions = list(driven(spec(), noisy, AutoscalerState(1)))
    numbers = [one.replicas for one in decisions[60:]]
    changes = sum(one != other for one, other in pairwise(numbers))
    assert changes <= 2


def test_a_router_s_prediction_goes_before_the_measured_capacity():
    predicted = replace(asked(arriving=500.0), arriving=AudioDemand(500.0, work_s=1.5))
    assert decide(spec(), predicted, AutoscalerState(1)).replicas == 2  # 1.5 / 0.75


def test_a_stale_word_is_not_acted_upon():
    heard = {"a": DemandReport(received_s=0.0, arriving=AudioDemand(500.0))}
    assert fleet_demand(heard, num_routers=1, now_s=MAX_AGE_S) is not None
    assert fleet_demand(heard, num_routers=1, now_s=MAX_AGE_S + 1) is None
    assert fleet_demand({}, num_routers=2, now_s=0.0) is None


def test_what_routers_see_is_summed_and_a_pod_counted_once():
    heard = {
        "a": DemandReport(
            1.0,
            AudioDemand(10.0, 1.0),
            AudioDemand(4.0),
            AudioDemand(30.0),
            True,
            {"p": 8.0, "q": 1.0},
        ),
        "b": DemandReport(
            2.0, AudioDemand(5.0, 0.5), AudioDemand(3.0), AudioDemand(10.0), True, {"p": 7.0}
        ),
    }
    found = fleet_demand(heard, num_routers=2, now_s=3.0)
    assert found == Demand(
        AudioDemand(15.0, 1.5),
        AudioDemand(7.0),
        AudioDemand(40.0),
        9.0,
        is_idle=False,
        is_partial=False,
    )
    part = fleet_demand(heard, num_routers=4, now_s=3.0)
    assert part == Demand(
        AudioDemand(30.0, 3.0),
        AudioDemand(14.0),
        AudioDemand(80.0),
        9.0,
        is_idle=False,
        is_partial=True,
    )


def test_a_router_that_nobody_asks_says_that_the_fleet_is_idle():
    quiet = {"version": 2, "endpoints": [{"address": "p", "backlog_s": 0.0}], "queue": {"num": 0}}
    assert fleet_demand(
        {"a": parse_report(quiet, received_s=1.0)}, num_routers=1, now_s=1.0
    ).is_idle
    words = {**quiet, "arrivals": [{"window_s": 60, "num": 0.02}, {"window_s": 300, "num": 0.01}]}
    assert not fleet_demand(
        {"a": parse_report(words, received_s=1.0)}, num_routers=1, now_s=1.0
    ).is_idle
    over = {**quiet, "arrivals": [{"window_s": 60, "num": 0.0}, {"window_s": 300, "num": 0.01}]}
    assert fleet_demand({"a": parse_report(over, received_s=1.0)}, num_routers=1, now_s=1.0).is_idle


def test_a_report_is_read_with_what_it_leaves_out():
    assert parse_report({}, received_s=1.0) == DemandReport(1.0)
    odd = {
        "queue": {"audio_s": "many", "num": -3},
        "arrivals": [{"window_s": 300, "audio_s": 2.0}, {"window_s": 60, "work_s": 3.0}, None],
        "endpoints": [{}, 3, {"address": "p"}],
    }
    assert parse_report(odd, received_s=1.0) == DemandReport(
        1.0, arriving=AudioDemand(2.0), burst=AudioDemand(0.0, 3.0), backlogs_s={"p": 0.0}
    )


def test_in_the_simulation_audio_serves_as_many_in_time_for_fewer_gpu_hours():
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
