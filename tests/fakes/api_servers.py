"""An API server of one kind, which does what it is told: to be slow, to refuse, to forget."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio import client

from flamingo_operator.kube import Kube


@dataclass
class ApiServer:
    """Lists `items` at `version`; its watches say what is put into `events`."""

    items: list[dict[str, Any]] = field(default_factory=list)
    version: int = 10
    page: int = 2
    events: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)
    """None ends the watch."""
    refusals: list[web.Response] = field(default_factory=list)
    """Given out before anything else."""
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.query_string}")
        if self.refusals:
            return self.refusals.pop(0)
        if "watch" in request.query:
            return await self._watch(request)
        start = int(request.query.get("continue", "0"))
        stop = start + self.page
        metadata = {"resourceVersion": str(self.version)}
        if stop < len(self.items):
            metadata["continue"] = str(stop)
        return web.json_response({"metadata": metadata, "items": self.items[start:stop]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.events.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response

    def num_lists(self) -> int:
        return sum("watch" not in one and "continue" not in one for one in self.seen)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Kube]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        async with TestServer(app) as server:
            configuration = client.Configuration(host=f"http://127.0.0.1:{server.port}")
            async with contextlib.aclosing(Kube(configuration)) as kube:
                yield kube


def refusal(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"message": message}, status=status, headers=headers)
