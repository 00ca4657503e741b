"""How many replicas are desired, and what is reported about it."""

from control_plane.deployments import deployment
from fakes.operator_inputs import NOW_S, decisions, demand_for, internal_deployment

from flamingo_operator.api import spec
from flamingo_operator.reporting import scaling
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import (
    DemandAndCapacity,
    ScalingState,
    desired_replicas,
    from_status,
)


def last(found):
    *_, one = found
    return one


def status_of(desired):
    told = scaling.scaling_status(desired).model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"scaling": told}


def test_noise_is_not_reported():
    noisy = [demand_for(2.5 * share) for share in (1.0, 1.06, 0.95, 1.02, 0.97, 1.08) * 10]
    told = {one.reported.message for one in list(decisions(noisy))[2:]}
    assert told == {"5-minute arrival rate requires 2.5 replicas"}


def test_a_real_change_of_the_demand_is_reported_though_the_number_stays():
    told = [
        one.reported.message for one in decisions([demand_for(2.9)] * 5 + [demand_for(2.2)] * 5)
    ]
    assert "2.9" in told[4]
    assert "2.2" in told[-1]


def test_a_change_of_the_number_is_reported_at_once():
    first, then = list(decisions([demand_for(1.0), demand_for(3.0)], every_s=1.0))
    assert (first.num, then.num) == (1, 3)
    assert (then.reported.reason, then.reported.bound) == ("ArrivalRate", "None")
    assert [(one.before, one.after) for one in then.history] == [(1, 3)]


def test_a_successor_continues_from_the_status_and_has_nothing_to_write():
    before = last(decisions([demand_for(1.0), demand_for(3.0), demand_for(3.0)]))
    looks = [None, None, demand_for(3.1), demand_for(2.9), demand_for(3.0)]
    for found in decisions(looks, state=from_status(status_of(before))):
        assert status_of(found) == status_of(before)


def test_missing_reports_are_reported_only_when_they_stay_missing():
    found = list(decisions([demand_for(2.0)] * 3 + [None] * 20))
    assert {one.num for one in found[2:]} == {2}
    reasons = [one.reported.reason for one in found[3:]]
    assert (reasons[5], reasons[-1]) == ("ArrivalRate", "SignalLost")


def test_in_mode_external_the_number_is_the_spec_s_and_a_change_of_mode_continues_from_it():
    external = spec.parse(deployment({"replicas": 3})).spec
    found = desired_replicas(
        external, DemandAndCapacity(demand_for(9)), ScalingState(), PodCounts(3), NOW_S
    )
    assert (found.num, found.reported) == (3, None)
    assert last(decisions([demand_for(3.0)], state=found.state)).num == 3


def test_a_schedule_sets_when_to_reconcile_again():
    office = {"name": "office", "start": "08:00", "end": "20:00", "minReplicas": 2}
    found = last(decisions([demand_for(0)], internal_deployment(scaling={"schedules": [office]})))
    assert found.requeue_at_s is not None
    assert NOW_S < found.requeue_at_s <= NOW_S + 24 * 3600
