"""An idle aiohttp server: `python idle.py FD`. Its latency is that of the machine."""

import socket
import sys

from aiohttp import web


async def health(_):
    return web.json_response({"status": "ready"})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/health", health)
    web.run_app(app, sock=socket.socket(fileno=int(sys.argv[1])), print=None)
