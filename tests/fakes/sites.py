"""A web site to fetch clips from, or one that must not be reached."""

import contextlib

from aiohttp import web


@contextlib.asynccontextmanager
async def site(handler, host="127.0.0.1"):
    """Serve `handler` for every path on a free port of loopback; yield the address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()
