"""A router in front of scripted pods, in this process, over real sockets."""

import asyncio
import base64
import contextlib
import io
from dataclasses import dataclass

import aiohttp
import numpy as np
import soundfile
from aiohttp import web
from fakes import pods, polling
from fakes.patience import PATIENCE_S

from flamingo_router import app as router_app
from flamingo_router.settings import Settings

CHAT = "/v1/chat/completions"
CAPTIONS = "/v1/audio/captions"
QUESTION = {"messages": [{"role": "user", "content": "What key is this in?"}]}
STREAMED = QUESTION | {"stream": True}


def clip(seconds):
    target = io.BytesIO()
    soundfile.write(target, np.zeros(int(seconds * 500)), 500, format="WAV", subtype="PCM_U8")
    return target.getvalue()


def caption_of(seconds):
    return {"audio": {"data": base64.b64encode(clip(seconds)).decode()}}


@dataclass
class Router:
    address: str
    app: web.Application
    client: aiohttp.ClientSession
    key: str | None = None

    def post(self, path, body, **options):
        return self.client.post(self.address + path, json=body, **options)

    async def answer(self, path, body, **options):
        async with self.post(path, body, **options) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path):
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        async with self.client.get(self.address + path, headers=headers) as answer:
            return answer.status, await answer.json()

    @contextlib.asynccontextmanager
    async def connection(self):
        """Open a raw connection to it."""
        reader, writer = await asyncio.open_connection(*self.address[7:].split(":"))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def until(self, holds):
        """Poll `/fleet` until `holds` is true of its endpoints."""
        async with asyncio.timeout(PATIENCE_S):

            async def is_as_wanted():
                return holds((await self.get("/fleet"))[1]["endpoints"])

            await polling.until(is_as_wanted)

    async def metric(self, start):
        async with self.client.get(self.address + "/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(start)]


def none_in_flight(endpoints):
    return not any(endpoint["num_open"] for endpoint in endpoints)


@contextlib.asynccontextmanager
async def routing(*fakes, dead=(), key=None, **settings):
    """Run a router in front of `fakes` and of `dead` addresses, where nothing listens."""
    async with contextlib.AsyncExitStack() as stack:
        addresses = [await stack.enter_async_context(pods.running(fake)) for fake in fakes]
        quick = {"poll_interval_s": 0.05, "cold_start_hold_s": 0, "queue_threshold_s": 0.5}
        options = quick | {"endpoint": [*dead, *addresses]} | settings
        app = router_app.create(Settings(**options))
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client = await stack.enter_async_context(aiohttp.ClientSession())
        host, port = runner.addresses[0][:2]
        router = Router(f"http://{host}:{port}", app, client, key)
        ready = sum(fake.state == "ready" for fake in fakes)
        await router.until(lambda all_of: sum(each["ready"] for each in all_of) >= ready)
        yield router
        await router.until(none_in_flight)  # whatever happened, every ticket was settled


def run(scenario):
    async def in_time():
        async with asyncio.timeout(PATIENCE_S):
            await scenario()

    asyncio.run(in_time())
