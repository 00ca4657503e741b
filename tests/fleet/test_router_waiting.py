"""Requests that wait in the router: for a free pod, for a cold start, and for how long."""

import asyncio
import contextlib
import json

import pytest
from fakes import pods, polling
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, STREAMED, caption_of, routing, run

PATIENT = {"poll_interval_s": 0.05, "stale_after_s": 5}
SLOW = {"window_s": 4.0, "token_s": 0.001}
"""A pod that takes four seconds per window: one clip makes it busy."""


async def fleet(router):
    return (await router.get("/fleet"))[1]


async def until_queued(router, num):
    async def is_as_wanted():
        return (await fleet(router))["queue"]["num"] == num

    await polling.until(is_as_wanted)


def asking(router, seconds, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.create_task(router.answer(CAPTIONS, caption_of(seconds), headers=named))


def lengths(pod):
    return [len(received.body) for received in pod.received]


def size(seconds):
    return len(json.dumps(caption_of(seconds)))


@contextlib.asynccontextmanager
async def busy(**settings):
    """A router in front of one pod that is busy with a clip; further requests queue."""
    pod = FakePod(release=asyncio.Event(), **SLOW)
    async with routing(pod, **PATIENT | settings) as router:
        first = asking(router, 20)
        await pod.has_arrived.wait()
        yield router, pod
        pod.release.set()
        assert (await first)[0] == 200


def test_what_is_rejected_before_its_upload_is_demand_too():
    async def scenario():
        async with routing(FakePod(backlog_s=999)) as router:
            for _ in range(5):
                assert (await router.answer(CAPTIONS, caption_of(20)))[0] == 429
            assert (await fleet(router))["arrivals"][0]["num"] > 0

    run(scenario)


def test_while_every_pod_is_busy_the_shortest_is_next():
    async def scenario():
        async with busy() as (router, pod):
            asked = []
            for number, seconds in enumerate((600, 65, 5), 1):
                asked.append(asking(router, seconds))
                await until_queued(router, number)
            assert len(pod.received) == 1
            pod.release.set()
            assert [(await each)[0] for each in asked] == [200] * 3
        assert lengths(pod)[1:] == [size(5), size(65), size(600)]

    run(scenario)


def test_a_client_prioritizes_among_its_own_requests():
    async def scenario():
        async with busy() as (router, pod):
            asked = [asking(router, 5, x_flamingo_priority="low")]
            await until_queued(router, 1)
            asked.append(asking(router, 65, x_flamingo_priority="HIGH"))
            await until_queued(router, 2)
            pod.release.set()
            assert [(await each)[0] for each in asked] == [200] * 2
        assert lengths(pod)[1:] == [size(65), size(5)]

    run(scenario)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-flamingo-priority", "urgent"),
        ("x-flamingo-deadline-ms", "soon"),
        ("x-flamingo-deadline-ms", "0"),
        ("x-flamingo-deadline-ms", "9" * 30),
        ("x-flamingo-deadline-ms", "-1"),
    ],
)
def test_an_invalid_header_of_ours_is_refused(header, value):
    async def scenario():
        async with routing(FakePod()) as router:
            status, answer, _ = await router.answer(CHAT, QUESTION, headers={header: value})
            assert (status, answer["error"]["param"]) == (400, header)

    run(scenario)


def test_a_deadline_that_cannot_be_met_is_refused_before_the_upload():
    async def scenario():
        async with busy() as (router, _), router.connection() as (reader, writer):
            head = f"POST {CAPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n"
            writer.write((head + "x-flamingo-deadline-ms: 500\r\n\r\n").encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b"retry-after: " in head
            assert b"retry-after-ms: " in head

    run(scenario)


def test_a_deadline_that_passes_at_the_pod_cancels_the_request_there():
    async def scenario():
        pod = FakePod(release=asyncio.Event())
        async with routing(pod) as router:
            headers = {"x-flamingo-deadline-ms": "2000"}
            status, answer, headers = await router.answer(CHAT, QUESTION, headers=headers)
            assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")
            assert headers["x-should-retry"] == "false"
            await pod.was_cancelled.wait()

    run(scenario)


def test_a_full_queue_refuses_before_the_upload_and_states_when_to_retry():
    async def scenario():
        async with busy(max_queued=1) as (router, pod), router.connection() as (reader, writer):
            waiting = asking(router, 65)
            await until_queued(router, 1)
            head = f"POST {CAPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
            writer.write(head.encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 429 ")
            headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            refusal = dict(line.split(": ") for line in headers if line)
            assert 1 <= int(refusal["retry-after"]) <= 60
            assert int(refusal["retry-after-ms"]) > 0
            pod.release.set()
            assert (await waiting)[0] == 200

    run(scenario)


def test_a_queued_body_is_not_read_beyond_its_head():
    async def scenario():
        async with busy() as (router, _), router.connection() as (_, writer):
            body = json.dumps(caption_of(40_000)).encode()  # 27 MB: no socket holds it
            head = f"POST {CAPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await until_queued(router, 1)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.3)
            assert writer.transport.get_write_buffer_size() > len(body) / 2

    run(scenario)


def test_a_client_that_disconnects_while_queued_leaves_nothing_behind():
    async def scenario():
        async with busy() as (router, pod):
            waiting = asking(router, 65)
            await until_queued(router, 1)
            waiting.cancel()
            await until_queued(router, 0)
        assert len(pod.received) == 1

    run(scenario)


def test_requests_are_held_while_the_first_pod_starts(unused_address):
    async def scenario():
        pod = FakePod(state="loading")
        async with routing(pod, cold_start_hold_s=60) as router:
            held = asking(router, 45)
            await until_queued(router, 1)
            report = await fleet(router)
            assert (report["cold"], report["queue"]["audio_s"]) == (True, 45)
            assert report["holding_s"] > 0
            assert report["endpoints"][0]["reason"] == "loading"
            pod.state = "ready"
            assert (await held)[0] == 200
            report = await fleet(router)
            assert (report["cold"], report["completed_audio_s"]) == (False, 45)
            assert report["arrivals"][0]["audio_s"] > 0

    run(scenario)


@pytest.fixture
def unused_address():
    return "http://127.0.0.1:9"


@pytest.mark.parametrize("bound", [{"max_queued": 1}, {"max_queued_audio_s": 50}])
def test_no_more_is_held_than_the_limit(unused_address, bound):
    async def scenario():
        async with routing(dead=[unused_address], cold_start_hold_s=60, **bound) as router:
            held = asking(router, 45)
            await until_queued(router, 1)
            status, answer, _ = await router.answer(CAPTIONS, caption_of(45))
            assert (status, answer["error"]["code"]) == (503, "no_endpoint_ready")
            held.cancel()
            await until_queued(router, 0)

    run(scenario)


def test_nothing_is_held_forever(unused_address):
    async def scenario():
        async with routing(dead=[unused_address], cold_start_hold_s=0.3) as router:
            status, answer, headers = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["code"]) == (503, "no_endpoint_ready")
            assert "Retry-After" in headers

    run(scenario)


def test_a_deadline_ends_the_wait_for_a_first_pod(unused_address):
    async def scenario():
        async with routing(dead=[unused_address], cold_start_hold_s=60) as router:
            headers = {"x-flamingo-deadline-ms": "200"}
            status, answer, _ = await router.answer(CHAT, QUESTION, headers=headers)
            assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")

    run(scenario)


def test_a_queued_stream_gets_heartbeats():
    async def scenario():
        pod = FakePod(state="loading")
        async with (
            routing(pod, cold_start_hold_s=60, heartbeat_interval_s=0.05) as router,
            router.post(CHAT, STREAMED) as answer,
        ):
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            assert await answer.content.readuntil(b"\n\n") == b": queued\n\n"
            pod.state = "ready"
            events = (await answer.read()).strip().split(b"\n\n")
            while events[0] == b": queued":
                del events[0]
            assert json.loads(events[0][6:])["choices"][0]["delta"]["content"] == "a "
            assert events[-1] == b"data: [DONE]"

    run(scenario)


@pytest.mark.parametrize("fault", ["refused by the pod", "never ready"])
def test_an_error_after_a_heartbeat_is_sent_as_an_event(fault):
    async def scenario():
        pod = FakePod(state="loading", fails_with=pods.errors.AudioTooLong("too long"))
        cold_start_hold_s = 60 if fault == "refused by the pod" else 1.0
        async with (
            routing(pod, cold_start_hold_s=cold_start_hold_s, heartbeat_interval_s=0.05) as router,
            router.post(CHAT, STREAMED) as answer,
        ):
            await answer.content.readuntil(b"\n\n")
            if fault == "refused by the pod":
                pod.state = "ready"
            last = (await answer.read()).strip().split(b"\n\n")[-1]
            code = "audio_too_long" if fault == "refused by the pod" else "no_endpoint_ready"
            assert json.loads(last[6:])["error"]["code"] == code

    run(scenario)


def test_a_request_without_a_stream_gets_its_status_and_no_heartbeat():
    async def scenario():
        async with routing(
            FakePod(state="loading"), cold_start_hold_s=0.5, heartbeat_interval_s=0.05
        ) as router:
            assert (await router.answer(CHAT, QUESTION))[0] == 503

    run(scenario)


@pytest.mark.parametrize("policy", ["least-work-left-plain", "least-connections", "round-robin"])
def test_the_policies_for_comparison_never_queue(policy):
    async def scenario():
        fakes = [FakePod(release=asyncio.Event(), **SLOW) for _ in range(2)]
        async with routing(*fakes, policy=policy, **PATIENT) as router:
            asked = [asking(router, 20) for _ in range(4)]
            await router.until(lambda all_of: sum(each["num_open"] for each in all_of) == 4)
            assert (await fleet(router))["queue"]["num"] == 0
            for fake in fakes:
                assert fake.has_arrived.is_set()
                fake.release.set()
            assert [(await each)[0] for each in asked] == [200] * 4

    run(scenario)
