"""A Kubernetes API server that has only EndpointSlices, and fails on request."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web


def endpoint_slice(
    name, *addresses, kind="IPv4", port=8000, port_name="http", version="1", **conditions
):
    return {
        "metadata": {"name": name, "resourceVersion": version},
        "addressType": kind,
        "ports": [{"name": port_name, "port": port}],
        "endpoints": [{"addresses": [each], "conditions": conditions} for each in addresses],
    }


@dataclass
class FakeKube:
    slices: dict = field(default_factory=dict)
    version: int = 10
    list_status: int = 200
    watch_status: int = 200
    is_mute: bool = False
    """Accept watches, but send nothing."""
    page_size: int = 500
    num_lists: int = 0
    num_watches: int = 0
    headers: list = field(default_factory=list)
    watched_from: list = field(default_factory=list)
    has_list: asyncio.Event = field(default_factory=asyncio.Event)
    _watches: list = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        path = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        app.router.add_get(path, self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        assert request.query["labelSelector"] == "kubernetes.io/service-name=pods"
        return await (self._watch if "watch" in request.query else self._list)(request)

    async def _list(self, request: web.Request) -> web.Response:
        self.num_lists += 1
        self.has_list.set()
        if self.list_status != 200:
            return web.json_response({"kind": "Status"}, status=self.list_status)
        start = int(request.query.get("continue", "0"))
        items = list(self.slices.values())
        page = items[start : start + self.page_size]
        more = str(start + self.page_size) if start + self.page_size < len(items) else ""
        metadata = {"resourceVersion": str(self.version), "continue": more}
        return web.json_response({"metadata": metadata, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.num_watches += 1
        self.watched_from.append(request.query["resourceVersion"])
        assert request.query["allowWatchBookmarks"] == "true"
        if self.watch_status != 200:
            return web.json_response({"kind": "Status"}, status=self.watch_status)
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue = asyncio.Queue()
        self._watches.append(queue)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while (line := await queue.get()) is not None:
                    await response.write(line)
                request.transport.abort()
        return response

    def send(self, kind, body):
        """Send an event to all watches."""
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        name = body["metadata"].get("name")
        if kind in ("ADDED", "MODIFIED"):
            self.slices[name] = body
        elif kind == "DELETED":
            self.slices.pop(name)
        self._send(json.dumps({"type": kind, "object": body}).encode() + b"\n")

    def send_error(self, code):
        status = {
            "kind": "Status",
            "code": code,
            "message": "requested by the test",
            "metadata": {},
        }
        self._send(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")

    def send_raw(self, data):
        self._send(data)

    def cut(self):
        """Close all watches."""
        self._send(None)

    def _send(self, line):
        if not self.is_mute:
            for queue in self._watches:
                queue.put_nowait(line)


@contextlib.asynccontextmanager
async def running(kube: FakeKube) -> AsyncIterator[str]:
    runner = web.AppRunner(kube.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
