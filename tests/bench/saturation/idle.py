"""An aiohttp server that does nothing else: `python idle.py FD`. What it shows is the machine's."""

import socket
import sys

from aiohttp import web


async def health(_):
    return web.json_response({"status": "ready"})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_get("/health", health)
    web.run_app(app, sock=socket.socket(fileno=int(sys.argv[1])), print=None)
