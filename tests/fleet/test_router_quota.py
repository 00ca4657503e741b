"""A router with API keys: their limits, and the headers that report them."""

import asyncio
import json

import pytest
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, caption_of, routing, run

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
            assert headers["x-ratelimit-remaining-audio-seconds"] in {"40", "41", "42"}

    run(scenario)


def test_overused_audio_is_paid_back_by_waiting(key_file):
    async def scenario():
        path = key_file(audio_seconds_per_minute=60)
        async with routing(FakePod(), key=BOB, key_file=path) as router:
            assert (await router.answer(CAPTIONS, caption_of(90), **as_(ALICE)))[0] == 200
            status, body, headers = await router.answer(CAPTIONS, caption_of(1), **as_(ALICE))
            assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
            assert 20 <= int(headers["Retry-After"]) <= 31

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
            async with asyncio.timeout(5):
                while (await router.answer(CHAT, QUESTION, **as_(ALICE)))[0] != 200:
                    pass

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
