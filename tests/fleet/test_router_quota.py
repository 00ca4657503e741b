"""A router with API keys: their limits, and the headers that report them."""

import asyncio
import json
import time

import aiohttp
import pytest
from fakes import kube, polling
from fakes.kube import FakeKube, endpoint_slice
from fakes.patience import PATIENCE_S
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, caption_of, routing, run
from fakes.sharing_routers import sharing_routers

from flamingo_common import errors
from flamingo_common.service import keys
from flamingo_common.wire import DEADLINE_HEADER

ALICE, BOB = "fk-alice", "fk-bob"


@pytest.fixture
def key_file(tmp_path):
    def write(**limits):
        owners = {"alice": ALICE, "bob": BOB}
        entries = [
            {"name": name, "sha256": keys.digest_of(key), "may": ["infer", "observe"]}
            | (limits if name == "alice" else {})
            for name, key in owners.items()
        ]
        path = tmp_path / "keys"
        path.write_text(json.dumps({"keys": entries}))
        return path

    return write


def as_(key):
    return {"headers": {"Authorization": f"Bearer {key}"}}


def test_too_many_requests_per_minute_are_refused_with_the_time_to_wait(key_file):
    async def scenario():
        path = key_file(requests_per_minute=3)
        async with routing(FakePod(), key=BOB, key_file=path) as router:
            for left in ("2", "1", "0"):
                status, _, headers = await router.answer(CHAT, QUESTION, **as_(ALICE))
                assert status == 200
                assert headers["x-ratelimit-remaining-requests"] == left
            status, body, headers = await router.answer(CHAT, QUESTION, **as_(ALICE))
            assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
            assert 0 < int(headers["retry-after-ms"]) <= 20_000
            assert (await router.answer(CHAT, QUESTION, **as_(BOB)))[0] == 200

    run(scenario)


def test_audio_is_charged_by_the_length_that_the_pod_reports(key_file):
    async def scenario():
        pod = FakePod(reported_audio_s=20.0)
        path = key_file(audio_seconds_per_minute=60)
        async with routing(pod, key=BOB, key_file=path) as router:
            await router.answer(CAPTIONS, caption_of(50), **as_(ALICE))
            pod.reported_audio_s = None
            _, _, headers = await router.answer(CHAT, QUESTION, **as_(ALICE))
            assert 40 <= int(headers["x-ratelimit-remaining-audio-seconds"]) < 60

    run(scenario)


REFUSALS = {
    "400": errors.InvalidAudio("no audio"),
    "429": errors.Overloaded("full"),
    "503": errors.Unavailable("busy"),
}


@pytest.mark.parametrize("refusal", [*REFUSALS, "502", "a stream that breaks off"])
def test_audio_that_was_not_processed_is_not_charged(key_file, refusal):
    async def scenario():
        pod = FakePod(fails_with=REFUSALS.get(refusal), num_failures=1)
        pod.aborts_unanswered = refusal == "502"
        pod.aborts_after_words = 1 if refusal.startswith("a stream") else None
        body = caption_of(50) | ({"stream": True} if refusal.startswith("a stream") else {})
        path = key_file(audio_seconds_per_minute=60)
        async with routing(pod, key=BOB, key_file=path) as router:
            async with router.post(CAPTIONS, body, **as_(ALICE)) as response:
                await response.read()
            pod.aborts_unanswered = False
            _, _, headers = await router.answer(CHAT, QUESTION, **as_(ALICE))
            assert headers["x-ratelimit-remaining-audio-seconds"] in {"59", "60"}

    run(scenario)


def test_overused_audio_is_paid_back_by_waiting(key_file):
    async def scenario():
        path = key_file(audio_seconds_per_minute=60)
        async with routing(FakePod(), key=BOB, key_file=path) as router:
            assert (await router.answer(CAPTIONS, caption_of(90), **as_(ALICE)))[0] == 200
            status, body, headers = await router.answer(CAPTIONS, caption_of(1), **as_(ALICE))
            assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
            assert 5 <= int(headers["Retry-After"]) <= 31

    run(scenario)


def test_requests_at_once_are_limited_and_one_that_ends_makes_room(key_file):
    async def scenario():
        pod = FakePod(release=asyncio.Event())
        async with routing(pod, key=BOB, key_file=key_file(max_concurrent=1)) as router:
            first = asyncio.create_task(router.answer(CHAT, QUESTION, **as_(ALICE)))
            await pod.has_arrived.wait()
            assert (await router.answer(CHAT, QUESTION, **as_(ALICE)))[0] == 429
            pod.release.set()
            assert (await first)[0] == 200
            assert (await router.answer(CHAT, QUESTION, **as_(ALICE)))[0] == 200

    run(scenario)


def test_a_client_that_disconnects_makes_room_too(key_file):
    async def scenario():
        pod = FakePod(release=asyncio.Event())
        async with routing(pod, key=BOB, key_file=key_file(max_concurrent=1)) as router:
            first = asyncio.create_task(router.answer(CHAT, QUESTION, **as_(ALICE)))
            await pod.has_arrived.wait()
            first.cancel()
            await pod.was_cancelled.wait()
            pod.release.set()
            async with asyncio.timeout(PATIENCE_S):

                async def has_room():
                    return (await router.answer(CHAT, QUESTION, **as_(ALICE)))[0] == 200

                await polling.until(has_room)

    run(scenario)


def test_a_deadline_reaches_the_pod_less_the_wait():
    async def scenario():
        pod = FakePod()
        async with routing(pod) as router:
            headers = {"headers": {DEADLINE_HEADER: "5000"}}
            assert (await router.answer(CHAT, QUESTION, **headers))[0] == 200
        headers = {name.lower(): value for name, value in pod.received[0].headers.items()}
        assert 0 < int(headers[DEADLINE_HEADER]) <= 5000

    run(scenario)


def test_the_limits_are_divided_among_the_routers_that_are_ready(key_file):
    async def scenario():
        slices = endpoint_slice("routers", "10.0.0.1", "10.0.0.2", ready=True)
        fake = FakeKube({"routers": slices})
        async with kube.running(fake) as url:
            peers = {"kube_api": url, "quota_peers": "music/pods"}
            path = key_file(requests_per_minute=8)
            async with routing(FakePod(), key=BOB, key_file=path, **peers) as router:
                await until_limit(router, "4")

                async def is_watching():
                    return fake.num_watches

                await polling.until(is_watching)
                four = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
                fake.send("MODIFIED", endpoint_slice("routers", *four, ready=True))
                await until_limit(router, "2")
                fake.send("DELETED", endpoint_slice("routers"))
                await until_limit(router, "8")

    run(scenario)


def test_three_router_processes_apply_one_limit_however_the_requests_are_spread(key_file, tmp_path):
    path = key_file(requests_per_minute=90)
    with sharing_routers(tmp_path, 3, key_file=path, key=BOB) as routers:
        asyncio.run(spend_at_one_after_the_other(routers, limit=90))


async def spend_at_one_after_the_other(routers, *, limit):
    """Send requests to the first router until all routers refuse."""
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as client:

        async def ask(router):
            async with client.post(router.address + CHAT, json=QUESTION, **as_(ALICE)) as answer:
                await answer.read()
                return answer.status, answer.headers

        async def share_the_limit():
            headers = [(await ask(router))[1] for router in routers]
            return all(each["x-ratelimit-limit-requests"] == str(limit) for each in headers)

        await polling.until(share_the_limit)
        started_s = time.monotonic()
        num_admitted = 0

        async def is_refused_everywhere():
            nonlocal num_admitted
            statuses = [(await ask(routers[0]))[0] for _ in range(10)]
            statuses += [(await ask(router))[0] for router in routers]
            num_admitted += statuses.count(200)
            return 200 not in statuses

        await polling.until(is_refused_everywhere)
        refilled = limit * (time.monotonic() - started_s) / 60
        assert 0 < num_admitted <= limit + refilled + len(routers)


async def until_limit(router, limit):
    async def is_as_wanted():
        _, _, headers = await router.answer(CHAT, QUESTION, **as_(ALICE))
        return headers["x-ratelimit-limit-requests"] == limit

    await polling.until(is_as_wanted)
