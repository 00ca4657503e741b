"""The demand on a fleet, from the reports of its routers."""

from flamingo_operator.scaling.demand import (
    MAX_AGE_S,
    AudioDemand,
    Demand,
    DemandReport,
    fleet_demand,
    parse_report,
)


def test_a_stale_report_is_not_used():
    reports = {"a": DemandReport(received_s=0.0, arriving=AudioDemand(500.0))}
    assert fleet_demand(reports, num_routers=1, now_s=MAX_AGE_S) is not None
    assert fleet_demand(reports, num_routers=1, now_s=MAX_AGE_S + 1) is None
    assert fleet_demand({}, num_routers=2, now_s=0.0) is None


def test_reports_of_routers_are_summed_and_each_pod_is_counted_once():
    reports = {
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
    found = fleet_demand(reports, num_routers=2, now_s=3.0)
    assert found == Demand(
        AudioDemand(15.0, 1.5),
        AudioDemand(7.0),
        AudioDemand(40.0),
        9.0,
        is_idle=False,
        is_partial=False,
    )
    part = fleet_demand(reports, num_routers=4, now_s=3.0)
    assert part == Demand(
        AudioDemand(30.0, 3.0),
        AudioDemand(14.0),
        AudioDemand(80.0),
        9.0,
        is_idle=False,
        is_partial=True,
    )


def test_a_router_without_requests_reports_an_idle_fleet():
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


def test_missing_and_invalid_values_of_a_report_count_as_zero():
    assert parse_report({}, received_s=1.0) == DemandReport(1.0)
    odd = {
        "queue": {"audio_s": "many", "num": -3},
        "arrivals": [{"window_s": 300, "audio_s": 2.0}, {"window_s": 60, "work_s": 3.0}, None],
        "endpoints": [{}, 3, {"address": "p"}],
    }
    assert parse_report(odd, received_s=1.0) == DemandReport(
        1.0, arriving=AudioDemand(2.0), burst=AudioDemand(0.0, 3.0), backlogs_s={"p": 0.0}
    )
