"""`GET /metrics`: a registry in the Prometheus text or OpenMetrics format, by content negotiation.

`?name[]=NAME`, which may be repeated, selects metrics, as in Prometheus' client libraries.

Aliases under other servers' metric names, which have a colon, are in the Prometheus text
format only: OpenMetrics would replace the colon.
"""

import asyncio
from collections.abc import Callable

import prometheus_client
from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

OPEN_METRICS = "application/openmetrics-text"


def create_registry() -> prometheus_client.CollectorRegistry:
    """Return a registry with the `process_*` metrics that every Prometheus client library has."""
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    return registry


def add_to(
    app: web.Application,
    registry: prometheus_client.CollectorRegistry,
    aliases: Collector | None = None,
    *,
    before_scrape: Callable[[], object] = lambda: None,
) -> None:
    """Serve `registry` at `/metrics`, without `_created` series.

    It is rendered in a thread: what only the event loop may read is read by `before_scrape`.
    """
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        names = request.query.getall("name[]", [])
        before_scrape()
        # Half a second for an operator of a thousand fleets: do not block the event loop.
        text = await asyncio.to_thread(encode, _select(registry, names) if names else registry)
        if aliases is not None and not names and not content_type.startswith(OPEN_METRICS):
            text += encode(aliases)
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    app.router.add_get("/metrics", metrics)


def _select(registry: prometheus_client.CollectorRegistry, names: list[str]) -> Collector:
    selected: Collector = registry.restricted_registry(names)
    return selected
