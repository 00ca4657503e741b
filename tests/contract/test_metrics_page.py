"""`docs/metrics.md` says every metric; running this file writes it. promtool reads them all."""

import asyncio
import re
import subprocess
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest

from flamingo_operator.telemetry.metrics import Metrics as OperatorMetrics
from flamingo_pod import app, pod
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.gauges import PodCollector
from flamingo_pod.settings import Settings as PodSettings
from flamingo_pod.telemetry import vllm_aliases
from flamingo_router import app as router_app
from flamingo_router.settings import Settings as RouterSettings

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
OPEN = {"accept": "application/openmetrics-text; version=1.0.0"}
HEAD = """# Metrics

`GET /metrics` on every service, as Prometheus text or as OpenMetrics with exemplars that name a
trace, whichever is asked for. Label values are few whatever clients send: routes are those that
exist. `?name[]=NAME`, which may be repeated, asks for some only. Written by
`python tests/contract/test_metrics_page.py`.
"""
NOTES = {
    "Operator": """Of the leader; one that waits shows no fleet. Gauges say what the status says.
Counters and histograms count what this process saw happen: a start from the pod's creation on,
the end of a drain also where another began it. What happens while nobody leads, nobody counts.""",
}
ALIASES_HEAD = """
## What vLLM's dashboards and the Gateway API know

A pod tells these as well, in Prometheus text only, with the label `model_name`;
`--no-metric-aliases` turns them off. The Gateway API's inference extension reads the first three.

| theirs | ours |
| --- | --- |
"""


def registries():
    """Return the registry of each service."""
    serving = pod.create(PodSettings(_cli_parse_args=[]))
    serving.stop()
    serving.metrics.registry.register(PodCollector(serving))
    router = router_app.create(RouterSettings(endpoint=["http://pod:8000"]))
    return {
        "Pod": serving.metrics.registry,
        "Router": router[router_app.METRICS].registry,
        "Operator": OperatorMetrics().registry,
    }


def rows(registry):
    labels = {
        getattr(each, "_name", ""): getattr(each, "_labelnames", ())
        for each in registry._collector_to_names
    }
    for family in sorted(registry.collect(), key=lambda each: each.name):
        names = labels.get(family.name) or getattr(family, "_labelnames", ())
        told = ", ".join(f"`{name}`" for name in names)
        name = family.name + suffix(family)
        yield f"| `{name}` | {family.type} | {told} | {family.documentation} |"


def suffix(family):
    return "_total" if family.type == "counter" else ""


def page():
    head = "| name | type | labels | meaning |\n| --- | --- | --- | --- |"
    parts = [HEAD]
    for service, registry in registries().items():
        said = [f"\n{NOTES[service]}"] if service in NOTES else []
        parts.append("\n".join([f"\n## {service}", *said, "", head, *rows(registry)]) + "\n")
    suffixes = {each.name: suffix(each) for each in registries()["Pod"].collect()}
    theirs = [
        f"| `vllm:{alias.name}{suffixes[alias.ours]}` | `{alias.ours}{suffixes[alias.ours]}` |\n"
        for alias in vllm_aliases.ALIASES
    ]
    return "".join([*parts, ALIASES_HEAD, *theirs])


def test_the_page_is_what_the_services_collect():
    assert PAGE.read_text(encoding="utf-8") == page()


def scraped(headers, *, before=(), **settings):
    """Return what a pod that has answered one request says at /metrics."""

    async def scenario():
        serving = pod.create(PodSettings(_cli_parse_args=[], **settings))
        made = app.create(serving)
        made.cleanup_ctx.clear()  # no model is needed
        with serving.metrics.request("/v1/audio/captions", {"trace_id": "a" * 32}) as outcome:
            outcome.status = 200
        serving.metrics.observe_completed(
            RequestStats(compute_s=1.0, audio_s=10.0), {"trace_id": "a" * 32}
        )
        serving.metrics.tokens.labels("text").inc(5)
        serving.metrics.tokens.labels("audio").inc(7)
        serving.metrics.choices.labels("stop").inc()
        try:
            async with TestClient(TestServer(made)) as client:
                for path in before:
                    await client.post(path)
                answer = await client.get("/metrics", headers=headers)
                return answer.headers["content-type"], await answer.text()
        finally:
            serving.stop()

    return asyncio.run(scenario())


def test_open_metrics_has_exemplars_and_no_colons():
    content_type, text = scraped(OPEN)
    assert content_type.startswith("application/openmetrics-text")
    assert f'# {{trace_id="{"a" * 32}"}}' in text
    assert "vllm" not in text
    assert text.endswith("# EOF\n")


def test_prometheus_text_has_the_names_that_dashboards_know():
    content_type, text = scraped({"accept": "text/plain"})
    assert content_type.startswith("text/plain")
    for name in ("num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"):
        assert f'vllm:{name}{{model_name="flamingo-tiny"}} 0.0' in text
    assert 'vllm:prompt_tokens_total{model_name="flamingo-tiny"} 12.0' in text
    success = 'vllm:request_success_total{finished_reason="stop",model_name="flamingo-tiny"}'
    assert f"{success} 1.0" in text
    assert re.search(r'vllm:e2e_request_latency_seconds_bucket{le="1200.0",[^}]*} 1', text)


def test_paths_that_do_not_exist_are_no_labels():
    _, text = scraped({"accept": "text/plain"}, before=["/v1/nowhere", "/v1/models/x", "/health"])
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert routes == {"/v1/audio/captions"}


def test_the_aliases_can_be_left_out():
    assert "vllm" not in scraped({"accept": "text/plain"}, metric_aliases=False)[1]


def test_promtool_finds_nothing_to_say_about_our_names(needs):
    promtool = needs("promtool", install="Debian: apt install prometheus")
    _, text = scraped({"accept": "text/plain"}, metric_aliases=False)
    for service in ("Router", "Operator"):
        text += generate_latest(registries()[service]).decode()
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
