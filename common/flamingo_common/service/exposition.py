"""`GET /metrics`: a registry as Prometheus text or as OpenMetrics, whichever the scraper asks for.

`?name[]=NAME`, which may be repeated, asks for some only, as Prometheus' own clients have it.

Names with a colon, by which other servers' dashboards know a figure, are told in
Prometheus text only: OpenMetrics would have them rewritten to names nobody looks for.
"""

import asyncio

import prometheus_client
from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

OPEN_METRICS = "application/openmetrics-text"


def add_to(
    app: web.Application,
    registry: prometheus_client.CollectorRegistry,
    aliases: Collector | None = None,
) -> None:
    """Serve `registry` at `/metrics`, without a `_created` twin of each counter."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        names = request.query.getall("name[]", [])
        # An operator of a thousand fleets takes half a second: others are not to wait for that.
        text = await asyncio.to_thread(encode, _some(registry, names) if names else registry)
        if aliases is not None and not names and not content_type.startswith(OPEN_METRICS):
            text += encode(aliases)
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    app.router.add_get("/metrics", metrics)


def _some(registry: prometheus_client.CollectorRegistry, names: list[str]) -> Collector:
    found: Collector = registry.restricted_registry(names)
    return found
