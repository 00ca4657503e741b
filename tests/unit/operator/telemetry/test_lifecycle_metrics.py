"""Counters and histograms of scaling decisions, starts and drains."""

from prometheus_client import generate_latest

from flamingo_common.wire.report import StartReport
from flamingo_operator.cluster import cold_start
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.telemetry.metrics import Metrics
from flamingo_operator.telemetry.server_lifecycle import EndedDrain

START = ColdStartPhases(schedule_s=2.0, image_pull_s=3.0, load_s=55.0)
SPLIT = cold_start.with_start_report(START, StartReport(fetch_s=10.0, load_s=40.0, warm_s=5.0))


def exposition(metrics):
    return generate_latest(metrics.registry).decode()


def test_metrics_add_up_and_those_of_a_deleted_deployment_are_removed():
    metrics = Metrics()
    metrics.lifecycle.observe_starts([START], [SPLIT])
    metrics.lifecycle.count_drains(
        "audio/music", [EndedDrain("finished", 7.0), EndedDrain("cancelled", 1.0)]
    )
    metrics.lifecycle.count_scale_decision("audio/music", "Max")
    text = exposition(metrics)
    fleet = 'name="music",namespace="audio"'
    assert 'cold_start_seconds_sum{phase="load"} 40.0' in text
    assert 'cold_start_seconds_sum{phase="total"} 60.0' in text
    assert f'drains_total{{{fleet},result="finished"}} 1.0' in text
    assert f'drains_total{{{fleet},result="cancelled"}} 1.0' in text
    assert "drain_seconds_sum 7.0" in text
    assert f'scale_decisions_total{{bound="Max",{fleet}}} 1.0' in text
    metrics.remove("audio/music")
    assert fleet not in exposition(metrics)
