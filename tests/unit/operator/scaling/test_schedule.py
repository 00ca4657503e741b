"""Which replica limits hold at a moment, and when they change: also when clocks change."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_operator.api.scaling import Scaling
from flamingo_operator.api.schedule import Schedule
from flamingo_operator.scaling.schedule import ReplicaLimits, replica_limits

SCALING = Scaling.model_validate({"minReplicas": 1, "maxReplicas": 8})
WORK = ["Mon", "Tue", "Wed", "Thu", "Fri"]


def office(**fields):
    whole = {
        "name": "office",
        "timeZone": "Europe/Paris",
        "days": WORK,
        "start": "08:00",
        "end": "20:00",
        "minReplicas": 3,
    }
    return Schedule.model_validate({**whole, **fields})


def at(text, zone="Europe/Paris", fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def limits_at(text, *schedules, zone="Europe/Paris", fold=0):
    return replica_limits(SCALING, schedules, now_s=at(text, zone, fold))


def test_without_schedules_the_limits_are_the_spec_s_and_never_change():
    assert limits_at("2026-06-01T12:00") == ReplicaLimits(1, 8, None, None)


@pytest.mark.parametrize(
    ("moment", "fewest", "changes"),
    [
        ("2026-06-01T07:59:59", 1, "2026-06-01T08:00"),  # a Monday
        ("2026-06-01T08:00", 3, "2026-06-01T20:00"),
        ("2026-06-01T19:59:59", 3, "2026-06-01T20:00"),
        ("2026-06-01T20:00", 1, "2026-06-02T08:00"),
        ("2026-06-05T21:00", 1, "2026-06-08T08:00"),  # over the weekend
    ],
)
def test_a_schedule_raises_the_minimum_from_its_start_to_its_end(moment, fewest, changes):
    found = limits_at(moment, office())
    assert found.min_replicas == fewest
    assert found.next_change_s == at(changes)
    assert found.schedule == ("office" if fewest == 3 else None)


def test_a_schedule_reads_the_clock_of_its_zone():
    assert limits_at("2026-06-01T08:30", office(timeZone="Asia/Tokyo")).min_replicas == 3
    assert limits_at("2026-06-01T13:30", office(timeZone="Asia/Tokyo")).min_replicas == 1


def test_a_window_that_ends_before_it_starts_ends_on_the_next_day():
    night = office(days=["Fri"], start="22:00", end="04:00")
    assert limits_at("2026-06-06T03:59", night).min_replicas == 3
    assert limits_at("2026-06-06T04:00", night).min_replicas == 1
    assert limits_at("2026-06-05T21:59", night).min_replicas == 1


def test_a_window_that_starts_when_it_ends_is_a_whole_day():
    day = office(days=["Sat"], start="06:00", end="06:00")
    assert limits_at("2026-06-06T06:00", day).next_change_s == at("2026-06-07T06:00")


def test_a_start_that_the_clocks_skip_is_not_missed():
    # On 29 March 2026 Paris goes from 02:00 to 03:00.
    early = office(days=["Sun"], start="02:30", end="05:00")
    assert limits_at("2026-03-29T03:00", early).min_replicas == 3
    assert limits_at("2026-03-29T01:29", early).min_replicas == 1


def test_an_end_that_the_clocks_skip_is_not_early():
    late = office(days=["Sat"], start="20:00", end="02:30")
    assert limits_at("2026-03-29T03:29", late).min_replicas == 3
    assert limits_at("2026-03-29T03:30", late).min_replicas == 1


def test_a_window_over_a_repeated_hour_is_one_window():
    # On 25 October 2026 Paris goes from 03:00 back to 02:00.
    night = office(days=["Sat"], start="20:00", end="02:30")
    assert limits_at("2026-10-25T02:45", night).min_replicas == 3
    assert limits_at("2026-10-25T02:15", night, fold=1).min_replicas == 3
    assert limits_at("2026-10-25T02:30", night, fold=1).min_replicas == 1


def test_of_several_the_highest_minimum_and_the_lowest_maximum_hold():
    several = (
        office(name="b", minReplicas=2, maxReplicas=6),
        office(name="a", minReplicas=4),
        office(name="c", minReplicas=None, maxReplicas=5),
    )
    found = limits_at("2026-06-01T12:00", *several)
    assert (found.min_replicas, found.max_replicas, found.schedule) == (4, 5, "a")


def test_where_limits_contradict_each_other_the_maximum_holds():
    found = limits_at("2026-06-01T12:00", office(minReplicas=9))
    assert (found.min_replicas, found.max_replicas) == (8, 8)


times = st.times().map(lambda one: one.strftime("%H:%M"))


@given(
    start=times,
    end=times,
    days=st.lists(st.sampled_from([*WORK, "Sat", "Sun"]), min_size=1, unique=True),
    zone=st.sampled_from(["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Etc/UTC"]),
    hours=st.integers(0, 24 * 366),
)
def test_between_now_and_the_next_change_nothing_changes(start, end, days, zone, hours):
    one = office(start=start, end=end, days=days, timeZone=zone)
    now_s = at("2026-01-01T00:00", "Etc/UTC") + timedelta(hours=hours).total_seconds()
    found = replica_limits(SCALING, (one,), now_s=now_s)
    assert found.next_change_s is not None
    assert found.next_change_s > now_s
    for share in (0.25, 0.5, 0.999):
        between_s = now_s + share * (found.next_change_s - now_s)
        assert replica_limits(SCALING, (one,), now_s=between_s) == found
