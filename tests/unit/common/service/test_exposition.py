"""`GET /metrics`: formats and selection."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from flamingo_common.service import exposition

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def exposed(path, accept="text/plain"):
    registry, aliases = CollectorRegistry(), CollectorRegistry()
    Counter("a_words", "Words", registry=registry).inc(3)
    Gauge("a_load", "Load", registry=registry).set(0.5)
    Gauge("other:load", "Load", registry=aliases).set(0.5)

    async def scenario():
        app = web.Application()
        exposition.add_to(app, registry, aliases)
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(path, headers={"Accept": accept})
            return await answer.text()

    return [line for line in asyncio.run(scenario()).splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("path", "accept", "lines"),
    [
        ("/metrics", "text/plain", ["a_words_total 3.0", "a_load 0.5", "other:load 0.5"]),
        ("/metrics", OPEN_METRICS, ["a_words_total 3.0", "a_load 0.5"]),
        ("/metrics?name[]=a_load", "text/plain", ["a_load 0.5"]),
        (
            "/metrics?name[]=a_load&name[]=a_words_total",
            "text/plain",
            ["a_words_total 3.0", "a_load 0.5"],
        ),
        ("/metrics?name[]=nobody", "text/plain", []),
    ],
)
def test_all_or_the_selected_metrics_are_exposed(path, accept, lines):
    assert sorted(exposed(path, accept)) == sorted(lines)


def test_a_registry_has_the_metrics_of_the_process():
    text = generate_latest(exposition.create_registry()).decode()
    for name in ("cpu_seconds_total", "open_fds", "resident_memory_bytes", "start_time_seconds"):
        assert f"\nprocess_{name} " in text
