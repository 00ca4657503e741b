"""`GET /metrics`: a registry as Prometheus text."""

import prometheus_client
from aiohttp import web


def add_to(app: web.Application, registry: prometheus_client.CollectorRegistry) -> None:
    """Serve `registry` at `/metrics`, without a `_created` twin of each counter."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

    async def metrics(_: web.Request) -> web.Response:
        text = prometheus_client.generate_latest(registry)
        return web.Response(
            body=text, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}
        )

    app.router.add_get("/metrics", metrics)
