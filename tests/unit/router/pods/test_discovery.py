"""Discovery: EndpointSlices watched through every fault, names resolved, sources merged."""

import asyncio
import contextlib

import aiohttp
import pytest
from fakes.kube import FakeKube, endpoint_slice, running
from fakes.patience import PATIENCE_S

from flamingo_router.pods import discovery, kube
from flamingo_router.pods.endpoint_slices import Service

TIMEOUTS = discovery.WatchTimeouts(watch_s=60, silence_s=30, resync_s=60)
A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


class Recorder:
    """The members that were reported last, and a way to wait for them."""

    def __init__(self):
        self.members, self.changed = {}, asyncio.Event()

    def __call__(self, members):
        self.members = members
        self.changed.set()

    async def until(self, members):
        async with asyncio.timeout(PATIENCE_S):
            while self.members != members:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def watching(fake, *, timeouts=TIMEOUTS, token_file=""):
    recorder = Recorder()
    async with running(fake) as url, aiohttp.ClientSession() as session:
        service = Service("music", "pods")
        access = kube.Access.from_settings(url, str(token_file) or "/nowhere", "/nowhere")
        resource = discovery.endpoint_slices(access, session, service)
        membership = discovery.Membership(recorder)
        task = asyncio.create_task(discovery.keep_watching(membership, service, resource, timeouts))
        try:
            yield recorder
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(holds):
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - a fake's counters wake nobody
            await asyncio.sleep(0.005)


def run(scenario):
    async def in_time():
        async with asyncio.timeout(2 * PATIENCE_S):
            await scenario()

    asyncio.run(in_time())


def one_pod(**fields):
    return FakeKube(slices={"a": endpoint_slice("a", "10.0.0.1", ready=True)}, **fields)


def test_changes_arrive_as_they_happen():
    async def scenario():
        fake = one_pod()
        async with watching(fake) as recorder:
            await recorder.until({A: True})
            await until(lambda: fake.num_watches)
            fake.send("ADDED", endpoint_slice("b", "10.0.0.2", ready=True))
            await recorder.until({A: True, B: True})
            fake.send("MODIFIED", endpoint_slice("b", "10.0.0.2", ready=False, terminating=True))
            await recorder.until({A: True, B: False})
            fake.send("DELETED", endpoint_slice("b"))
            await recorder.until({A: True})
        assert fake.num_lists == 1

    run(scenario)


def test_a_long_list_comes_in_pages():
    async def scenario():
        slices = {f"s{n}": endpoint_slice(f"s{n}", f"10.0.1.{n}") for n in range(25)}
        async with watching(FakeKube(slices=slices, page_size=10)) as recorder:
            await recorder.until({f"http://10.0.1.{n}:8000": True for n in range(25)})

    run(scenario)


def test_a_watch_that_ends_resumes_after_its_last_event():
    async def scenario():
        fake = one_pod()
        async with watching(fake, timeouts=discovery.WatchTimeouts(1.0, 30, 60)) as recorder:
            await until(lambda: fake.num_watches)
            fake.send("ADDED", endpoint_slice("b", "10.0.0.2"))
            await recorder.until({A: True, B: True})
            fake.send("BOOKMARK", {"metadata": {}})
            await until(lambda: fake.num_watches > 1)  # the server ended it
        assert fake.watched_from[:2] == ["10", "12"]
        assert fake.num_lists == 1

    run(scenario)


@pytest.mark.parametrize("way", ["status", "event"])
def test_a_version_too_old_means_a_new_list(way):
    async def scenario():
        fake = one_pod()
        async with watching(fake) as recorder:
            await until(lambda: fake.num_watches)
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")  # no event was sent
            if way == "event":
                fake.send_error(410)
            else:
                fake.watch_status = 410
                fake.cut()
                await until(lambda: fake.num_lists > 1)
                fake.watch_status = 200
            await recorder.until({A: True, B: True})

    run(scenario)


@pytest.mark.parametrize("fault", ["cut", "nonsense", "error event"])
def test_a_watch_that_breaks_means_a_new_list_and_keeps_what_was_known(fault):
    async def scenario():
        fake = one_pod()
        async with watching(fake) as recorder:
            await until(lambda: fake.num_watches)
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")
            match fault:
                case "cut":
                    fake.cut()
                case "nonsense":
                    fake.send_raw(b"no JSON\n")
                case "error event":
                    fake.send_error(500)
            assert recorder.members == {A: True}
            await recorder.until({A: True, B: True})

    run(scenario)


def test_an_api_server_that_fails_changes_nothing_until_it_is_back():
    async def scenario():
        fake = one_pod()
        async with watching(fake) as recorder:
            await until(lambda: fake.num_watches)
            fake.list_status = 503
            fake.slices.clear()
            fake.cut()
            await until(lambda: fake.num_lists >= 3)
            assert recorder.members == {A: True}
            fake.list_status = 200
            await recorder.until({})

    run(scenario)


def test_a_silent_watch_is_given_up():
    async def scenario():
        fake = one_pod(is_mute=True)
        async with watching(fake, timeouts=discovery.WatchTimeouts(60, 0.2, 60)) as recorder:
            await recorder.until({A: True})
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")
            await recorder.until({A: True, B: True})

    run(scenario)


def test_everything_is_relisted_now_and_then():
    async def scenario():
        fake = one_pod(is_mute=True)
        async with watching(fake, timeouts=discovery.WatchTimeouts(60, 30, 1.0)) as recorder:
            await recorder.until({A: True})
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")
            await recorder.until({A: True, B: True})

    run(scenario)


def test_the_token_file_is_read_for_each_call(tmp_path):
    async def scenario():
        token, fake = tmp_path / "token", one_pod()
        token.write_text("first\n")
        async with watching(fake, token_file=token):
            await until(lambda: fake.num_watches)
            token.write_text("second\n")
            fake.send_error(410)
            await until(lambda: fake.num_lists > 1)
        authorizations = [headers["Authorization"] for headers in fake.headers]
        assert (authorizations[0], authorizations[2]) == ("Bearer first", "Bearer second")

    run(scenario)


def test_sources_are_merged_and_each_replaces_only_its_own_members():
    reported = []
    membership = discovery.Membership(reported.append)
    membership.update("given", {A: True})
    membership.update("dns", {A: False, B: True})
    membership.update("dns", {A: False, B: True})
    membership.update("dns", {})

    assert reported == [{A: True}, {A: True, B: True}, {A: True}]


def test_a_name_is_resolved():
    async def scenario():
        recorder = Recorder()
        task = asyncio.create_task(
            discovery.keep_resolving(discovery.Membership(recorder), "127.0.0.1", 8000)
        )
        await recorder.until({"http://127.0.0.1:8000": True})
        task.cancel()

    run(scenario)


def test_retry_delays_grow_and_start_again():
    delay = discovery.RetryDelay(first_s=0.0001)
    for _ in range(3):
        asyncio.run(delay.wait())
    assert delay.num_failures == 3
    delay.reset()
    assert delay.num_failures == 0
