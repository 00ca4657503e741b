"""A watch of an API server that closes connections, expires versions and returns errors."""

import asyncio
import contextlib

import kmock
import pytest
from fakes.kmock_cluster import serving
from fakes.objects import Objects
from fakes.patience import PATIENCE_S
from kubernetes.aio import client
from structlog.testing import capture_logs

from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import KubeClient
from flamingo_operator.cluster.watch import PAGE, Watch

WATCHES = kmock.params({"watch": "1"})
LISTS = "get /api/v1/pods?limit=250"


class Sink:
    def __init__(self):
        self.there = set()
        self.lists = []

    def put(self, raw):
        self.there.add(raw["metadata"]["name"])
        return raw["metadata"]["name"]

    def delete(self, raw):
        self.there.remove(raw["metadata"]["name"])

    def retain(self, uids, version):
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
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - the fake knows no event for it
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(objects):
    async with contextlib.AsyncExitStack() as stack:
        api, url = await stack.enter_async_context(serving(objects))
        kube = KubeClient(client.Configuration(host=url))
        yield api, await stack.enter_async_context(contextlib.aclosing(kube))


@contextlib.asynccontextmanager
async def watching(objects, prepare=lambda api: None):
    """Watch the pods of an API server whose responses `prepare` may override."""
    async with connected(objects) as (api, kube):
        prepare(api)
        sink = Sink()
        task = asyncio.create_task(Watch(kube, kinds.POD, "", "a=b", sink).run())
        try:
            yield api, sink
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_a_list_is_read_in_pages_and_the_watch_starts_at_its_version():
    def prepare(api):
        bookmark = event("BOOKMARK", "", "700")
        first = (event("DELETED", "0", "698"), event("ADDED", "new", "699"), bookmark)
        api.override[WATCHES][:1] << first

    async def scenario():
        names = {str(number) for number in range(2 * PAGE + 1)}
        objects = with_pods(names)
        version = objects.version
        async with watching(objects, prepare) as (api, sink):
            await until(lambda: len(api[WATCHES]) == 2)
            assert sink.lists == [(names, version)]
            assert sink.there == names - {"0"} | {"new"}
            assert len(api[LISTS]) == 3
            assert [one.params["resourceVersion"] for one in api[WATCHES]] == [str(version), "700"]

    asyncio.run(scenario())


def test_everything_is_listed_again_when_the_version_has_expired():
    async def scenario():
        objects = with_pods("a")
        async with watching(objects, lambda api: api.override[WATCHES][1:2] << 410) as (api, sink):
            await until(lambda: api[WATCHES])
            objects.is_silent = True
            create(objects, "b")
            objects.is_silent = False
            objects.compact()
            await until(lambda: len(sink.lists) == 3)
            assert [names for names, _ in sink.lists] == [{"a"}, {"a", "b"}, {"a", "b"}]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (403, "grant list and watch, or remove the namespace from --namespaces"),
        (404, "until the API server serves this kind again"),
    ],
)
def test_a_refusal_is_logged_once_with_what_to_do(status, advice):
    def prepare(api):
        api.override[LISTS][:2] << status

    async def scenario():
        async with watching(with_pods("a"), prepare) as (_, sink):
            await until(lambda: sink.lists)

    with capture_logs() as lines:
        asyncio.run(scenario())
    (line,) = (one for one in lines if one["event"] == "watch.refused")
    assert line["message"].endswith(advice)


def test_a_failed_watch_resumes_from_its_version():
    def prepare(api):
        api.override[LISTS][:1] << 500
        api.override[LISTS][1:2] << 429
        api.override[WATCHES][:1] << (b"",)
        api.override[WATCHES][1:2] << 503

    async def scenario():
        objects = with_pods("a")
        async with watching(objects, prepare) as (api, sink):
            await until(lambda: len(api[WATCHES]) == 3)
            create(objects, "b")
            await until(lambda: "b" in sink.there)
            assert len(sink.lists) == 1

    asyncio.run(scenario())
