"""Following an API server that breaks off, forgets and refuses."""

import asyncio
import contextlib

import kmock
import pytest
from fakes.kmock_cluster import serving
from fakes.objects import Objects
from kubernetes.aio import client

from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.watch import PAGE, Watch

WATCHES = kmock.params({"watch": "1"})
LISTS = "get /api/v1/pods?limit=250"


class Sink:
    def __init__(self):
        self.there = set()
        self.lists = []

    def seen(self, raw):
        self.there.add(raw["metadata"]["name"])
        return raw["metadata"]["name"]

    def gone(self, raw):
        self.there.remove(raw["metadata"]["name"])

    def listed(self, uids, version):
        self.lists.append((uids, version))


def with_pods(names):
    objects = Objects()
    for name in names:
        create(objects, name)
    return objects


def create(objects, name):
    objects.create("pods", "n", {"metadata": {"name": name, "labels": {"a": "b"}}})


def event(kind, name, version):
    metadata = {"name": name, "resourceVersion": version}
    return {"type": kind, "object": {"metadata": metadata}}


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the fake knows no event for it
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def asking(objects):
    async with contextlib.AsyncExitStack() as stack:
        api, url = await stack.enter_async_context(serving(objects))
        kube = KubeClient(client.Configuration(host=url))
        yield api, await stack.enter_async_context(contextlib.aclosing(kube))


@contextlib.asynccontextmanager
async def watching(objects, tell=lambda api: None):
    """Follow the pods; `tell` tells the server beforehand how to answer some requests."""
    async with asking(objects) as (api, kube):
        tell(api)
        sink = Sink()
        task = asyncio.create_task(Watch(kube, kinds.POD, "", "a=b", sink).run())
        try:
            yield api, sink
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_list_comes_in_pages_and_a_watch_goes_on_from_it():
    def tell(api):
        bookmark = event("BOOKMARK", "", "700")
        first = (event("DELETED", "0", "698"), event("ADDED", "new", "699"), bookmark)
        api.override[WATCHES][:1] << first

    async def scenario():
        names = {str(number) for number in range(2 * PAGE + 1)}
        objects = with_pods(names)
        version = objects.version
        async with watching(objects, tell) as (api, sink):
            await until(lambda: len(api[WATCHES]) == 2)
            assert sink.lists == [(names, version)]
            assert sink.there == names - {"0"} | {"new"}
            assert len(api[LISTS]) == 3
            assert [one.params["resourceVersion"] for one in api[WATCHES]] == [str(version), "700"]

    asyncio.run(scenario())


def test_a_server_that_forgot_where_we_were_is_asked_for_everything():
    async def scenario():
        objects = with_pods("a")
        async with watching(objects, lambda api: api.override[WATCHES][1:2] << 410) as (api, sink):
            await until(lambda: api[WATCHES])
            objects.is_silent = True
            create(objects, "b")
            objects.is_silent = False
            objects.forget()
            await until(lambda: len(sink.lists) == 3)
            assert [names for names, _ in sink.lists] == [{"a"}, {"a", "b"}, {"a", "b"}]

    asyncio.run(scenario())


def test_a_server_that_fails_is_asked_again_from_where_we_were():
    def tell(api):
        api.override[LISTS][:1] << 500
        api.override[LISTS][1:2] << 429
        api.override[WATCHES][:1] << (b"",)
        api.override[WATCHES][1:2] << 503

    async def scenario():
        objects = with_pods("a")
        async with watching(objects, tell) as (api, sink):
            await until(lambda: len(api[WATCHES]) == 3)
            create(objects, "b")
            await until(lambda: "b" in sink.there)
            assert len(sink.lists) == 1

    asyncio.run(scenario())


def test_a_refusal_says_why_and_when_to_come_back():
    async def scenario():
        async with asking(Objects()) as (api, kube):
            busy = api.override[LISTS][:1] << 429 << {"Retry-After": "7"}
            busy << {"message": "too many requests"}
            api.override[LISTS][1:] << 422 << {"message": "spec.x: invalid"}
            with pytest.raises(ApiError) as refused:
                await kube.get("/api/v1/pods", {"limit": "250"})
            assert (refused.value.status, refused.value.retry_after_s) == (429, 7.0)
            assert str(refused.value) == "too many requests"
            assert not refused.value.is_refusal
            with pytest.raises(ApiError) as refused:
                await kube.get("/api/v1/pods", {"limit": "250"})
            assert refused.value.is_refusal

    asyncio.run(scenario())
