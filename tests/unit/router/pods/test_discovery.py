"""Where the pods are: slices read, watched through every fault, and names looked up."""

import asyncio
import contextlib

import aiohttp
import pytest
from fakes.kube import FakeKube, endpoint_slice, running

from flamingo_router.pods import discovery, kube
from flamingo_router.pods.endpoint_slices import Service, Slices

PATIENCE_S = 20
FAST = discovery.Pace(watch_s=60, silence_s=30, resync_s=60)
A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def members(*slices, port=""):
    known = Slices()
    known.replace(slices)
    return known.members(port)


def test_every_ready_address_of_every_slice_is_a_member():
    found = members(
        endpoint_slice("a", "10.0.0.1", ready=True), endpoint_slice("b", "10.0.0.2", ready=True)
    )
    assert found == {A: True, B: True}


@pytest.mark.parametrize(
    ("conditions", "is_open"),
    [
        ({}, True),
        ({"ready": None}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        ({"ready": True, "terminating": True}, False),
    ],
)
def test_conditions_say_who_gets_work(conditions, is_open):
    assert members(endpoint_slice("a", "10.0.0.1", **conditions)) == {A: is_open}


def test_the_port_is_chosen_by_its_name():
    one = endpoint_slice("a", "10.0.0.1", port_name="metrics", port=9000)
    one["ports"].append({"name": "http", "port": 8000})

    assert members(one, port="http") == {A: True}
    assert members(one) == {"http://10.0.0.1:9000": True}
    assert members(one, port="other") == {}


def test_a_pod_with_two_kinds_of_address_counts_once():
    both = [endpoint_slice("a", "10.0.0.1"), endpoint_slice("b", "fd00::1", kind="IPv6")]

    assert members(*both) == {A: True}
    assert members(both[1]) == {"http://[fd00::1]:8000": True}


@pytest.mark.parametrize("missing", ["endpoints", "ports"])
def test_a_slice_without_content_is_no_member(missing):
    one = endpoint_slice("a", "10.0.0.1")
    one[missing] = None
    assert members(one) == {}


@pytest.mark.parametrize("text", ["", "pods", "a/", "/b", "a/b/c"])
def test_what_is_no_service_is_refused(text):
    with pytest.raises(ValueError, match="is no service"):
        Service.parse(text)


def test_a_service_may_name_its_port():
    assert Service.parse("music/pods:http") == Service("music", "pods", "http")


class Heard:
    """What a source said last, and a way to wait for it."""

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
async def watching(fake, *, pace=FAST, token_file=""):
    heard = Heard()
    async with running(fake) as url, aiohttp.ClientSession() as session:
        service = Service("music", "pods")
        access = kube.Access.of(url, str(token_file) or "/nowhere", "/nowhere")
        resource = discovery.endpoint_slices(access, session, service)
        sources = discovery.Sources(heard)
        task = asyncio.create_task(discovery.keep_watching(sources, service, resource, pace))
        try:
            yield heard
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
        async with watching(fake) as heard:
            await heard.until({A: True})
            await until(lambda: fake.num_watches)
            fake.send("ADDED", endpoint_slice("b", "10.0.0.2", ready=True))
            await heard.until({A: True, B: True})
            fake.send("MODIFIED", endpoint_slice("b", "10.0.0.2", ready=False, terminating=True))
            await heard.until({A: True, B: False})
            fake.send("DELETED", endpoint_slice("b"))
            await heard.until({A: True})
        assert fake.num_lists == 1

    run(scenario)


def test_a_long_list_comes_in_pages():
    async def scenario():
        slices = {f"s{n}": endpoint_slice(f"s{n}", f"10.0.1.{n}") for n in range(25)}
        async with watching(FakeKube(slices=slices, page_size=10)) as heard:
            await heard.until({f"http://10.0.1.{n}:8000": True for n in range(25)})

    run(scenario)


def test_a_watch_that_is_cut_goes_on_after_the_last_thing_heard():
    async def scenario():
        fake = one_pod()
        async with watching(fake, pace=discovery.Pace(1.0, 30, 60)) as heard:
            await until(lambda: fake.num_watches)
            fake.send("ADDED", endpoint_slice("b", "10.0.0.2"))
            await heard.until({A: True, B: True})
            fake.send("BOOKMARK", {"metadata": {}})
            await until(lambda: fake.num_watches > 1)  # the server ended it
        assert fake.watched_from[:2] == ["10", "12"]
        assert fake.num_lists == 1

    run(scenario)


@pytest.mark.parametrize("way", ["status", "event"])
def test_a_version_too_old_means_a_new_list(way):
    async def scenario():
        fake = one_pod()
        async with watching(fake) as heard:
            await until(lambda: fake.num_watches)
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")  # nobody was told
            if way == "event":
                fake.send_error(410)
            else:
                fake.watch_status = 410
                fake.cut()
                await until(lambda: fake.num_lists > 1)
                fake.watch_status = 200
            await heard.until({A: True, B: True})

    run(scenario)


@pytest.mark.parametrize("fault", ["cut", "nonsense", "error event"])
def test_a_watch_that_breaks_means_a_new_list_and_keeps_what_was_known(fault):
    async def scenario():
        fake = one_pod()
        async with watching(fake) as heard:
            await until(lambda: fake.num_watches)
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")
            match fault:
                case "cut":
                    fake.cut()
                case "nonsense":
                    fake.send_raw(b"no JSON\n")
                case "error event":
                    fake.send_error(500)
            assert heard.members == {A: True}
            await heard.until({A: True, B: True})

    run(scenario)


def test_an_api_server_that_fails_changes_nothing_until_it_is_back():
    async def scenario():
        fake = one_pod()
        async with watching(fake) as heard:
            await until(lambda: fake.num_watches)
            fake.list_status = 503
            fake.slices.clear()
            fake.cut()
            await until(lambda: fake.num_lists >= 3)
            assert heard.members == {A: True}
            fake.list_status = 200
            await heard.until({})

    run(scenario)


def test_a_watch_that_says_nothing_is_given_up():
    async def scenario():
        fake = one_pod(is_mute=True)
        async with watching(fake, pace=discovery.Pace(60, 0.2, 60)) as heard:
            await heard.until({A: True})
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")
            await heard.until({A: True, B: True})

    run(scenario)


def test_all_is_listed_anew_now_and_then():
    async def scenario():
        fake = one_pod(is_mute=True)
        async with watching(fake, pace=discovery.Pace(60, 30, 1.0)) as heard:
            await heard.until({A: True})
            fake.slices["b"] = endpoint_slice("b", "10.0.0.2")
            await heard.until({A: True, B: True})

    run(scenario)


def test_the_token_is_read_anew_for_each_call(tmp_path):
    async def scenario():
        token, fake = tmp_path / "token", one_pod()
        token.write_text("first\n")
        async with watching(fake, token_file=token):
            await until(lambda: fake.num_watches)
            token.write_text("second\n")
            fake.send_error(410)
            await until(lambda: fake.num_lists > 1)
        told = [headers["Authorization"] for headers in fake.headers]
        assert (told[0], told[2]) == ("Bearer first", "Bearer second")

    run(scenario)


def test_sources_are_put_together_and_each_forgets_only_its_own():
    said = []
    sources = discovery.Sources(said.append)
    sources.say("given", {A: True})
    sources.say("dns", {A: False, B: True})
    sources.say("dns", {A: False, B: True})
    sources.say("dns", {})

    assert said == [{A: True}, {A: True, B: True}, {A: True}]


def test_a_name_is_looked_up():
    async def scenario():
        heard = Heard()
        task = asyncio.create_task(
            discovery.keep_resolving(discovery.Sources(heard), "127.0.0.1", 8000)
        )
        await heard.until({"http://127.0.0.1:8000": True})
        task.cancel()

    run(scenario)


def test_pauses_grow_and_begin_anew():
    pause = discovery.Pause(seconds=0.0001)
    for _ in range(3):
        asyncio.run(pause.take())
    assert pause.seconds == pytest.approx(0.0008)
    pause.reset()
    assert pause.seconds == discovery.FIRST_PAUSE_S
