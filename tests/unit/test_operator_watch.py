"""Following an API server that breaks off, forgets and refuses."""

import asyncio
import contextlib

import pytest
from fakes.api_servers import ApiServer, refusal

from flamingo_operator import kinds
from flamingo_operator.kube import ApiError
from flamingo_operator.watch import Watch


class Sink:
    def __init__(self):
        self.there = {}
        self.lists = []

    def seen(self, raw):
        self.there[raw["metadata"]["name"]] = raw["metadata"]["resourceVersion"]
        return raw["metadata"]["name"]

    def gone(self, raw):
        self.there.pop(raw["metadata"]["name"])

    def listed(self, uids, version):
        self.lists.append((uids, version))


def pod(name, version="1"):
    return {"metadata": {"name": name, "resourceVersion": version}}


def event(kind, raw):
    return {"type": kind, "object": raw}


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - the fake knows no event for it
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def watching(server):
    sink = Sink()
    async with server.running() as kube:
        watch = Watch(kube, kinds.POD, "", "a=b", sink)
        task = asyncio.create_task(watch.run())
        try:
            yield sink
        finally:
            task.cancel()
            server.events.put_nowait(None)
            await asyncio.gather(task, return_exceptions=True)


def test_a_list_comes_in_pages_and_a_watch_goes_on_from_it():
    async def scenario():
        server = ApiServer([pod(name) for name in "abcde"])
        async with watching(server) as sink:
            await until(lambda: sink.lists)
            assert sink.lists == [({*"abcde"}, 10)]
            server.events.put_nowait(event("DELETED", pod("a", "11")))
            server.events.put_nowait(event("ADDED", pod("f", "12")))
            server.events.put_nowait(event("BOOKMARK", pod("", "20")))
            await until(lambda: "f" in sink.there)
            assert "a" not in sink.there
            server.events.put_nowait(None)
            await until(lambda: "resourceVersion=20" in server.seen[-1])
            assert server.num_lists() == 1

    asyncio.run(scenario())


def test_a_server_that_forgot_where_we_were_is_asked_for_everything():
    async def scenario():
        server = ApiServer([pod("a")])
        async with watching(server) as sink:
            await until(lambda: sink.lists)
            server.items, server.version = [pod("b", "30")], 31
            gone = {"code": 410, "message": "too old resource version", "metadata": {}}
            server.events.put_nowait(event("ERROR", gone))
            await until(lambda: len(sink.lists) == 2)
            assert sink.lists[1] == ({"b"}, 31)
            server.refusals.append(refusal(410, "Expired"))
            server.events.put_nowait(None)
            await until(lambda: len(sink.lists) == 3)

    asyncio.run(scenario())


def test_a_server_that_fails_is_asked_again_from_where_we_were():
    async def scenario():
        server = ApiServer([pod("a")])
        server.refusals = [refusal(500, "etcd is slow"), refusal(429, "too many")]
        async with watching(server) as sink:
            await until(lambda: sink.lists)
            server.refusals = [refusal(503, "shutting down")]
            server.events.put_nowait(None)
            await until(lambda: server.refusals == [])
            server.events.put_nowait(event("ADDED", pod("b", "11")))
            await until(lambda: "b" in sink.there)
            assert len(sink.lists) == 1

    asyncio.run(scenario())


def test_a_refusal_says_why_and_when_to_come_back():
    async def scenario():
        server = ApiServer()
        async with server.running() as kube:
            server.refusals = [refusal(429, "too many requests", **{"Retry-After": "7"})]
            with pytest.raises(ApiError) as refused:
                await kube.get("/api/v1/pods")
            assert (refused.value.status, refused.value.retry_after_s) == (429, 7.0)
            assert str(refused.value) == "too many requests"
            assert not refused.value.is_refusal
            server.refusals = [refusal(422, "spec.x: invalid")]
            with pytest.raises(ApiError) as refused:
                await kube.get("/api/v1/pods")
            assert refused.value.is_refusal

    asyncio.run(scenario())
