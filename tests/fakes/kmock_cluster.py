"""A cluster where there is none: kmock's API server, and controllers in a few lines.

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

from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import APPLY, MERGE

KINDS = {
    kind.plural: kind
    for kind in (
        *(kinds.RESOURCE, kinds.POD, kinds.NODE, kinds.EVENT, kinds.LEASE, *kinds.OWNED_KINDS),
        # kopf begins when it has found these two.
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
    """Serve; yield kmock's handler, which can be told to answer otherwise, and the address."""
    async with Api() as api:
        for kind in KINDS.values():
            where = kmock.resource(*kind.version.rpartition("/")[::2], kind.plural)
            info = kmock.ResourceInfo(namespaced=True, kind=kind.name, verbs=VERBS)
            api.resources[where] = info
        api << functools.partial(answer, objects)
        # Not kmock's own server: that one replaces how aiohttp finds hosts, in the whole process.
        async with RawTestServer(api) as server:
            yield api, f"http://127.0.0.1:{server.port}"


def answer(objects: Objects, request: kmock.Request) -> Any:
    """Answer as an API server does."""
    plural = request.resource.plural if request.resource else None
    if plural not in KINDS:
        # kmock goes on to its discovery. An answer of None would have it never ask us again.
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
    found = [body for each, body in objects.there.items() if _is_meant(request, each, body)]
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
    place = int(request.params.get("resourceVersion", objects.version))
    while True:
        news = objects.news
        try:
            events = objects.since(place)
        except kmock.KubernetesError as error:
            status = {"kind": "Status", "code": error.status, "message": error.message}
            yield {"type": "ERROR", "object": status}
            return
        place = objects.version
        for key, event in events:
            if _is_meant(request, key, event["object"]):
                yield event
        await news.wait()


def _is_meant(request: kmock.Request, key: Key, body: Json) -> bool:
    """Whether an object is of the kind, the namespace and the labels that are asked for."""
    if key[0] != request.resource.plural or key[1] != (request.namespace or key[1]):
        return False
    labels = body["metadata"].get("labels", {})
    wanted = [one.partition("=") for one in request.params.get("labelSelector", "").split(",")]
    return all(name in labels and value in ("", labels[name]) for name, _, value in wanted if name)


async def control(objects: Objects) -> None:
    """Be the garbage collector, the scheduler, the kubelets and the deployment controller."""
    while True:
        news = objects.news
        for key in [*objects.there]:
            _control(objects, key)
        await news.wait()


def _control(objects: Objects, key: Key) -> None:
    """Do what has to be done about one object."""
    body = objects.there[key]
    owners = {one["uid"] for one in body["metadata"].get("ownerReferences", ())}
    if "deletionTimestamp" in body["metadata"]:
        objects.delete(key, {"gracePeriodSeconds": 0})
    elif owners and owners.isdisjoint(objects.uids()):
        objects.delete(key, {})
    elif key[0] == "pods" and "nodeName" not in body["spec"]:
        objects.merge(key, {"spec": {"nodeName": "node-1"}}, "")
        objects.merge(key, {"status": _running()}, "status")
    elif key[0] == "deployments":
        ready = {"readyReplicas": body["spec"]["replicas"]}
        objects.merge(key, {"status": ready}, "status")


def _running() -> Json:
    conditions = [
        {"type": name, "status": "True", "lastTransitionTime": now()}
        for name in ("PodScheduled", "Ready")
    ]
    return {"phase": "Running", "conditions": conditions}


async def _ended(task: "asyncio.Task[None]") -> None:
    """End a task; tell what went wrong with it before."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@dataclass
class KmockCluster:
    """A cluster in a thread of its own, for tests that wait for processes."""

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
        stack.push_async_callback(_ended, controlling)

    @contextlib.contextmanager
    def unseen(self) -> Iterator[None]:
        """Let what happens in the block be forgotten before anybody who follows hears of it."""
        self.objects.is_silent = True
        yield
        self.objects.is_silent = False
        self._loop.call_soon_threadsafe(self.objects.forget)

    def refuse(self, which: str, status: int, num: int) -> kmock.View:
        """Refuse the first requests of a kind; return those that were."""
        return self.api.override[which][:num] << status << {"Retry-After": "1"}

    # What Site asks of any cluster.

    def get(self, namespace: str, kinds: str, name: str = "") -> Json:
        if name:
            return self._ask("GET", KINDS[kinds].path(namespace, name))
        items = [
            {"kind": KINDS[plural].name, **item}
            for plural in kinds.split(",")
            for item in self._ask("GET", KINDS[plural].path(namespace))["items"]
        ]
        return {"items": items}

    def create(self, namespace: str, body: Json) -> None:
        kind = next(kind for kind in KINDS.values() if kind.name == body["kind"])
        self._ask("POST", kind.path(namespace), body)

    def patch(self, namespace: str, kind: str, name: str, patch: Json) -> None:
        self._ask("PATCH", KINDS[kind].path(namespace, name), patch)

    def delete(self, namespace: str, kind: str, name: str, *, is_forced: bool = False) -> None:
        options = {"gracePeriodSeconds": 0} if is_forced else {}
        self._ask("DELETE", KINDS[kind].path(namespace, name), options)

    def admit(self, namespace: str, home: str) -> None:
        """Everybody may do everything everywhere."""

    def account(self, namespace: str) -> Json:
        return {
            "clusters": [{"name": "kmock", "cluster": {"server": self.url}}],
            "users": [{"name": namespace, "user": {"token": "anybody"}}],
            "contexts": [{"name": "kmock", "context": {"cluster": "kmock", "user": namespace}}],
            "current-context": "kmock",
        }

    def dismiss(self, namespace: str) -> None:
        """What is left in a namespace disturbs nobody."""

    def _ask(self, method: str, path: str, body: Json | None = None) -> Any:
        given = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": MERGE if method == "PATCH" else "application/json"}
        request = urllib.request.Request(self.url + path, given, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
