"""When `flamingo up` starts a service again."""

from flamingo.local_fleet.restarts import MAX_RESTARTS, STABLE_S, DeathCount


def test_delays_double_and_then_the_service_is_left():
    deaths = DeathCount(1.0)

    delays = [deaths.restart_delay_s(ran_s=2.0) for _ in range(MAX_RESTARTS + 1)]

    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, None]


def test_service_that_ran_long_starts_with_no_deaths():
    deaths = DeathCount(1.0)
    for _ in range(MAX_RESTARTS):
        deaths.restart_delay_s(ran_s=2.0)

    assert deaths.restart_delay_s(ran_s=STABLE_S) == 1.0
    assert deaths.restart_delay_s(ran_s=2.0) == 2.0
