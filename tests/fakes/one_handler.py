"""Servers of one application or one handler, on a free port of loopback."""

import contextlib

from aiohttp import web


@contextlib.asynccontextmanager
async def serving_app(app):
    """Serve an application; yield the address."""
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def serving(path, handler):
    """Serve `handler` at `path`; yield the address."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", path, handler)
    return serving_app(app)


def responding(**response):
    """Return a handler that always gives this response."""

    async def handler(_):
        return web.Response(**response)

    return handler
