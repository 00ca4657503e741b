"""The alerting and recording rules in a real Prometheus that scrapes a router and its pods."""

from urllib.parse import urlsplit

import httpx2
import prometheus_client
import pytest
from control_plane.deployments import deployment
from fakes.clusters import Cluster
from monitoring import prometheus, rules, scrape_configs
from monitoring.scrape_configs import Target

from flamingo_operator.api import spec
from flamingo_operator.manifests import common, pod_monitor
from flamingo_operator.telemetry.metrics import Metrics

QUESTION = {"messages": [{"role": "user", "content": "Which key?"}], "max_tokens": 4}
SERVICE_MONITOR = {
    "metadata": {"namespace": "flamingo-system", "name": "flamingo-operator"},
    "spec": {"endpoints": [{"port": "http", "path": "/metrics", "honorLabels": True}]},
}
LABELS = {"flamingo.dev/deployment": "music"}


@pytest.fixture
def operator():
    """Serve the metrics of an operator; yields its address, and the metrics."""
    cluster = Cluster.of({"replicas": 2})
    cluster.live(5)
    metrics = Metrics()
    generation = cluster.status["observedGeneration"]
    metrics.fleets.statuses = lambda: [("audio/music", generation, cluster.status)]
    metrics.is_leader.set(1)
    served = prometheus_client.start_http_server(0, "127.0.0.1", registry=metrics.registry)
    server, thread = served
    yield f"127.0.0.1:{server.server_port}", metrics
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def scraper(needs, fleet, operator, tmp_path):
    """Yield a Prometheus with the rules that scrapes the fleet and the operator."""
    router, pods = fleet
    targets = [
        Target(urlsplit(one.address).netloc, "audio", f"music-{number}", "main", labels=LABELS)
        for number, one in enumerate((router, *pods))
    ]
    body = deployment({})
    body["metadata"]["namespace"] = "audio"
    (monitor,) = common.without_empty(pod_monitor.pod_monitors(spec.parse(body)))
    own = Target(operator[0], "flamingo-system", "operator-1", "operator", service="operator")
    config = scrape_configs.config(
        scrape_configs.of_pod_monitor(monitor, targets),
        scrape_configs.of_service_monitor(SERVICE_MONITOR, [own]),
        rule_files=[str(rules.FILE)],
    )
    program = needs("prometheus", install="Debian: apt install prometheus")
    with prometheus.running(program, config, tmp_path) as running:
        running.wait_for_targets(len(targets) + 1)
        yield running


def ask(address):
    """Ask in all ways, and once with what is no audio."""
    with httpx2.Client(base_url=address, timeout=60) as client:
        for body in (QUESTION, QUESTION | {"stream": True}):
            assert client.post("/v1/chat/completions", json=body).status_code == 200
        files = {"file": ("song.wav", b"no audio")}
        assert client.post("/v1/audio/captions", files=files).status_code == 400


def test_a_fleet_at_work_feeds_every_recording_rule_and_raises_no_alert(scraper, fleet, operator):
    router, _ = fleet
    for _ in range(2):
        scraper.wait_for_scrape()
        ask(router.address)
    for rule in rules.RULES:
        if "record" in rule:
            own = ", ".join(f'{name}="{value}"' for name, value in rule.get("labels", {}).items())
            scraper.wait_for(f"{rule['record']}{{{own}}}")
    availability = scraper.query('slo:sli_error:ratio_rate5m{sloth_slo="availability"}')
    assert [(one.labels["namespace"], one.labels["name"], one.last) for one in availability] == [
        ("audio", "music", 0)
    ]
    assert scraper.query("ALERTS") == []

    _, metrics = operator
    ((key, generation, status),) = metrics.fleets.statuses()
    metrics.fleets.statuses = lambda: [(key, generation + 1, status)]
    scraper.wait_for('ALERTS{alertname="FlamingoSpecNotObserved", alertstate="pending"}')
