"""A cluster without Kubernetes: kmock's API server, and controllers in a few lines.

kmock serves paths, discovery, streams and refusals. Its own emulator has no versions, selectors,
owners or server-side apply (docs/decisions/0017-kmock-test-api-server.md): `objects` has them.
"""

import asyncio
import contextlib
import functools
import json
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import kmock
from aiohttp.test_utils import RawTestServer
from fakes.objects import Json, Key, Objects, now
from fakes.patience import PATIENCE_S

from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import APPLY, MERGE

KINDS = {
    kind.plural: kind
    for kind in (
        *(kinds.RESOURCE, kinds.POD, kinds.NODE, kinds.EVENT, kinds.LEASE, *kinds.OWNED_KINDS),
        # kopf starts when it has found these two.
        kinds.Kind("Namespace", "v1", "namespaces"),
        kinds.Kind(
            "CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions"
        ),
    )
}
Api = kmock.KubernetesScaffold
VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


@contextlib.asynccontextmanager
async def serving(objects: Objects) -> AsyncIterator[tuple[Api, str]]:
    """Serve; yield kmock's handler, whose responses can be overridden, and the URL."""
    async with Api() as api:
        for kind in KINDS.values():
            where = kmock.resource(*kind.version.rpartition("/")[::2], kind.plural)
            info = kmock.ResourceInfo(namespaced=True, kind=kind.name, verbs=VERBS)
            api.resources[where] = info
        api << functools.partial(respond, objects)
        # Not kmock's own server, which replaces aiohttp's name resolution in the whole process.
        async with RawTestServer(api) as server:
            yield api, f"http://127.0.0.1:{server.port}"


def respond(objects: Objects, request: kmock.Request) -> Any:
    """Respond like an API server."""
    plural = request.resource.plural if request.resource else None
    if plural not in KINDS:
        # kmock falls back to its discovery. After None it would never call this again.
        raise NotImplementedError
    key = (plural, request.namespace or "", request.name or "")
    body = json.loads(request.body) if request.body else {}
    match request.method.value:
        case "GET":
            return _read(objects, key, request)
        case "POST":
            return objects.create(plural, key[1], body)
        case "PUT":
            return objects.replace(key, body)
        case "PATCH":
            return _patch(objects, key, request, body)
        case "DELETE":
            return objects.delete(key, body)


def _read(objects: Objects, key: Key, request: kmock.Request) -> Any:
    if request.name:
        return objects.get(key)
    if request.params.get("watch") in ("1", "true"):
        return _watch(objects, request)
    found = [body for each, body in objects.by_key.items() if _is_selected(request, each, body)]
    start, most = (int(request.params.get(name, "0")) for name in ("continue", "limit"))
    stop = start + (most or len(found))
    metadata = {"resourceVersion": str(objects.version)}
    metadata |= {"continue": str(stop)} if stop < len(found) else {}
    return {"metadata": metadata, "items": found[start:stop]}


def _patch(objects: Objects, key: Key, request: kmock.Request, body: Json) -> Json:
    subresource = request.subresource or ""
    if request.headers["Content-Type"] == APPLY:
        return objects.apply(key, body, request.params["fieldManager"], subresource)
    return objects.merge(key, body, subresource)


async def _watch(objects: Objects, request: kmock.Request) -> AsyncIterator[Any]:
    yield b""  # so that the status is sent
    version = int(request.params.get("resourceVersion", objects.version))
    while True:
        changed = objects.changed
        try:
            events = objects.since(version)
        except kmock.KubernetesError as error:
            status = {"kind": "Status", "code": error.status, "message": error.message}
            yield {"type": "ERROR", "object": status}
            return
        version = objects.version
        for key, event in events:
            if _is_selected(request, key, event["object"]):
                yield event
        await changed.wait()


def _is_selected(request: kmock.Request, key: Key, body: Json) -> bool:
    """Whether an object has the requested kind, namespace and labels."""
    if key[0] != request.resource.plural or key[1] != (request.namespace or key[1]):
        return False
    labels = body["metadata"].get("labels", {})
    wanted = [one.partition("=") for one in request.params.get("labelSelector", "").split(",")]
    return all(name in labels and value in ("", labels[name]) for name, _, value in wanted if name)


async def control(objects: Objects) -> None:
    """Act as garbage collector, scheduler, kubelets and deployment controller."""
    while True:
        changed = objects.changed
        for key in [*objects.by_key]:
            _control(objects, key)
        await changed.wait()


def _control(objects: Objects, key: Key) -> None:
    """Do what the controllers would do with one object."""
    body = objects.by_key[key]
    owners = {one["uid"] for one in body["metadata"].get("ownerReferences", ())}
    if "deletionTimestamp" in body["metadata"]:
        objects.delete(key, {"gracePeriodSeconds": 0})
    elif owners and owners.isdisjoint(objects.uids()):
        objects.delete(key, {})
    elif key[0] == "pods" and "nodeName" not in body["spec"]:
        objects.merge(key, {"spec": {"nodeName": "node-1"}}, "")
        objects.merge(key, {"status": _running()}, "status")
    elif key[0] == "deployments":
        objects.merge(key, {"status": _rolled_out(body)}, "status")


def _rolled_out(deployment: Json) -> Json:
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    generation = deployment["metadata"].get("generation", 0)
    return {"observedGeneration": generation} | dict.fromkeys(
        counts, deployment["spec"]["replicas"]
    )


def _running() -> Json:
    conditions = [
        {"type": name, "status": "True", "lastTransitionTime": now()}
        for name in ("PodScheduled", "Ready")
    ]
    return {"phase": "Running", "conditions": conditions}


async def _cancel(task: "asyncio.Task[None]") -> None:
    """Cancel a task; raise the error that it failed with before."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@dataclass
class KmockCluster:
    """A cluster in its own thread, for tests that wait for processes."""

    objects: Objects = field(default_factory=Objects)
    url: str = ""
    api: Api | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    @contextlib.contextmanager
    def running(self) -> Iterator["KmockCluster"]:
        thread = threading.Thread(target=self._loop.run_forever)
        thread.start()
        stack = contextlib.AsyncExitStack()
        try:
            self._do(self._start(stack))
            yield self
        finally:
            try:
                self._do(stack.aclose())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                thread.join()
                self._loop.close()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        self.api, self.url = await stack.enter_async_context(serving(self.objects))
        controlling = asyncio.create_task(control(self.objects))
        stack.push_async_callback(_cancel, controlling)

    @contextlib.contextmanager
    def unseen(self) -> Iterator[None]:
        """Expire the events of the block before any watch receives them."""
        self.objects.is_silent = True
        yield
        self.objects.is_silent = False
        self._loop.call_soon_threadsafe(self.objects.compact)

    def refuse(self, which: str, status: int, num: int) -> kmock.View:
        """Reject the first requests of a kind; return them."""
        return self.api.override[which][:num] << status << {"Retry-After": "1"}

    # The interface that Site needs of any cluster.

    def get(self, namespace: str, kinds: str, name: str = "") -> Json:
        if name:
            return self._request("GET", KINDS[kinds].path(namespace, name))
        items = [
            {"kind": KINDS[plural].name, **item}
            for plural in kinds.split(",")
            for item in self._request("GET", KINDS[plural].path(namespace))["items"]
        ]
        return {"items": items}

    def create(self, namespace: str, body: Json) -> None:
        kind = next(kind for kind in KINDS.values() if kind.name == body["kind"])
        self._request("POST", kind.path(namespace), body)

    def patch(self, namespace: str, kind: str, name: str, patch: Json) -> None:
        self._request("PATCH", KINDS[kind].path(namespace, name), patch)

    def delete(self, namespace: str, kind: str, name: str, *, is_forced: bool = False) -> None:
        options = {"gracePeriodSeconds": 0} if is_forced else {}
        self._request("DELETE", KINDS[kind].path(namespace, name), options)

    def admit(self, namespace: str, home: str) -> None:
        """Nothing to do: there is no authorization."""

    def account(self, namespace: str) -> Json:
        return {
            "clusters": [{"name": "kmock", "cluster": {"server": self.url}}],
            "users": [{"name": namespace, "user": {"token": "any"}}],
            "contexts": [{"name": "kmock", "context": {"cluster": "kmock", "user": namespace}}],
            "current-context": "kmock",
        }

    def dismiss(self, namespace: str) -> None:
        """Nothing to do: each test module has a server of its own."""

    def _request(self, method: str, path: str, body: Json | None = None) -> Any:
        given = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": MERGE if method == "PATCH" else "application/json"}
        request = urllib.request.Request(self.url + path, given, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)
