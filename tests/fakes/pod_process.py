"""A scripted pod as a process of its own, to be killed, stopped or cut off.

python pod_process.py FD '{"words": ["a ", "song"], "word_s": 0.1}'
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

from aiohttp import web
from pods import FakePod


async def main(listener: socket.socket, pod: FakePod) -> None:
    runner = web.AppRunner(pod.app(), handler_cancellation=True)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    fields = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    asyncio.run(main(socket.socket(fileno=int(sys.argv[1])), FakePod(**fields)))
