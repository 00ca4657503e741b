"""Metrics of each FlamingoDeployment."""

from prometheus_client import generate_latest

from flamingo_operator.telemetry.metrics import Metrics


def exposition(metrics):
    return generate_latest(metrics.registry).decode()


def test_the_status_is_read_at_every_scrape():
    metrics = Metrics()
    ready = {"type": "Ready", "status": "Unknown"}
    reconciled = {"readyReplicas": 2, "scaling": {"desiredReplicas": 3}, "conditions": [ready]}
    metrics.fleets.statuses = lambda: [("audio/music", reconciled), ("audio/new", {})]
    text = exposition(metrics)
    assert 'operator_replicas{name="music",namespace="audio",state="ready"} 2.0' in text
    assert 'operator_replicas{name="music",namespace="audio",state="draining"} 0.0' in text
    assert 'desired_replicas{name="music",namespace="audio"} 3.0' in text
    assert 'condition{name="music",namespace="audio",type="Ready"} -1.0' in text
    assert "new" not in text
