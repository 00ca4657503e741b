"""The router in front of scripted pods, over real sockets."""

import asyncio
import contextlib
import hashlib
import io
import json
import os

import aiohttp
import pytest
from aiohttp import web
from fakes import pods
from fakes.pods import FakePod
from fakes.routers import (
    CAPTIONS,
    CHAT,
    QUESTION,
    STREAMED,
    caption_of,
    none_in_flight,
    routing,
    run,
)

from flamingo_common import errors
from flamingo_common.service.run import listen
from flamingo_router import app as router_app


@pytest.fixture
def unused_address():
    """An address where nothing listens."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    return f"http://127.0.0.1:{port}"


def test_a_request_goes_to_the_idle_pod():
    async def scenario():
        busy, idle = FakePod(backlog_s=60), FakePod(model="idle")
        async with routing(busy, idle) as router:
            for _ in range(3):
                status, answer, _ = await router.answer(CHAT, QUESTION)
                assert (status, answer["model"]) == (200, "idle")
        assert not busy.received

    run(scenario)


def test_a_long_clip_on_one_pod_sends_short_ones_to_the_other():
    async def scenario():
        one, other = FakePod(release=asyncio.Event()), FakePod(release=asyncio.Event())
        async with routing(
            one, other, poll_interval_s=60, stale_after_s=120, unreachable_after_s=120
        ) as router:
            long = asyncio.create_task(router.answer(CAPTIONS, caption_of(1200)))
            arrived = [asyncio.create_task(pod.has_arrived.wait()) for pod in (one, other)]
            await asyncio.wait(arrived, return_when=asyncio.FIRST_COMPLETED)
            busy, idle = (one, other) if one.received else (other, one)
            idle.release = None
            for _ in range(3):
                await router.answer(CAPTIONS, caption_of(5))
            assert (len(busy.received), len(idle.received)) == (1, 3)
            busy.release.set()
            assert (await long)[0] == 200
            arrived[0].cancel()

    run(scenario)


def test_a_slow_pod_is_charged_more():
    async def scenario():
        slow, fast = FakePod(window_s=9.0, token_s=0.5), FakePod(window_s=0.01, token_s=0.001)
        async with routing(slow, fast) as router:
            for _ in range(3):
                await router.answer(CAPTIONS, caption_of(300))
        assert (len(slow.received), len(fast.received)) == (0, 3)

    run(scenario)


@pytest.mark.parametrize("path", [CHAT, CAPTIONS, "/v1/audio/embeddings", "/v1/audio/analyze"])
def test_every_work_route_is_relayed(path):
    async def scenario():
        pod = FakePod()
        async with routing(pod) as router:
            status, answer, headers = await router.answer(path, QUESTION)
        assert (status, answer["model"], headers["Content-Type"][:16]) == (
            200,
            "fake",
            "application/json",
        )

    run(scenario)


def test_models_are_those_of_a_ready_pod():
    async def scenario():
        async with routing(FakePod(model="nvidia/music"), FakePod(state="loading")) as router:
            status, models = await router.get("/v1/models")
            assert (status, models["data"][0]["id"]) == (200, "nvidia/music")
            assert (await router.get("/v1/models/nvidia/music"))[1]["id"] == "nvidia/music"
            assert (await router.get("/v1/models/other"))[1]["error"]["code"] == "model_not_found"

    run(scenario)


def test_events_arrive_before_the_response_is_complete():
    async def scenario():
        pod = FakePod(release=asyncio.Event(), waits_after_words=1)
        async with routing(pod) as router, router.post(CHAT, STREAMED) as answer:
            assert answer.content_type == "text/event-stream"
            first = await answer.content.readuntil(b"\n\n")
            assert json.loads(first[6:])["choices"][0]["delta"]["content"] == "a "
            pod.release.set()
            rest = await answer.read()
        assert rest.endswith(b"data: [DONE]\n\n")
        assert rest.count(b"data: ") == 4

    run(scenario)


def test_a_stream_passes_through_unchanged():
    async def scenario():
        pod = FakePod(words=tuple(f"word{n} \n" for n in range(500)))
        async with routing(pod) as router:
            async with router.post(CHAT, STREAMED) as answer:
                relayed = await answer.read()
            async with router.client.post(pod.address + CHAT, json=STREAMED) as answer:
                assert await answer.read() == relayed

    run(scenario)


@pytest.mark.parametrize("num_bytes", [100_000, 3_000_000], ids=["100 kB", "3 MB"])
def test_a_large_answer_passes_through_whole(num_bytes):
    async def scenario():
        pod = FakePod(answer_bytes=num_bytes)
        async with routing(pod) as router, router.post(CHAT, QUESTION) as answer:
            assert answer.content_length == num_bytes
            assert len(await answer.read()) == num_bytes

    run(scenario)


async def in_chunks(body, num_bytes):
    for at in range(0, len(body), num_bytes):
        yield body[at : at + num_bytes]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("num_bytes", [0, 10, 200_000, 30_000_000])
@pytest.mark.parametrize("replay_buffer_bytes", [0, 2**20], ids=["nothing kept", "some kept"])
def test_the_body_arrives_as_it_was_sent(num_bytes, is_chunked, replay_buffer_bytes):
    async def scenario():
        pod, body = FakePod(), os.urandom(num_bytes)
        sent = in_chunks(body, 50_001) if is_chunked else io.BytesIO(body)
        async with routing(pod, replay_buffer_bytes=replay_buffer_bytes) as router:
            headers = {"Content-Type": "application/json", "X-Mine": "kept"}
            async with router.client.post(
                router.address + CHAT, data=sent, headers=headers
            ) as answer:
                assert answer.status == 200
        (received,) = pod.received
        assert received.sha256 == hashlib.sha256(body).hexdigest()
        assert received.headers["X-Mine"] == "kept"

    run(scenario)


def test_hop_by_hop_headers_are_dropped_and_the_request_id_is_passed_on():
    async def scenario():
        pod = FakePod()
        headers = {
            "Connection": "keep-alive, X-Private",
            "X-Private": "1",
            "TE": "trailers",
            "Cookie": "a=b",
            "Authorization": "Bearer k",
            "X-Request-Id": "mine-1",
        }
        async with routing(pod) as router:
            _, _, response_headers = await router.answer(CHAT, QUESTION, headers=headers)
        received = {name.lower(): value for name, value in pod.received[0].headers.items()}
        assert not {"x-private", "te", "connection"} & set(received)
        assert (received["cookie"], received["authorization"]) == ("a=b", "Bearer k")
        assert received["host"] == pod.address.removeprefix("http://")
        assert received["x-request-id"] == "mine-1"
        assert response_headers.getall("x-request-id") == ["mine-1"]
        assert "x-flamingo-endpoint" not in response_headers

    run(scenario)


def test_the_endpoint_is_exposed_only_when_configured():
    async def scenario():
        pod = FakePod()
        async with routing(pod, expose_endpoint=True) as router:
            for body in (QUESTION, STREAMED):
                async with router.post(CHAT, body) as answer:
                    assert answer.headers["x-flamingo-endpoint"] == pod.address

    run(scenario)


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "counted"])
def test_a_body_over_the_limit_is_refused(is_chunked):
    async def scenario():
        pod, body = FakePod(), bytes(200_000)
        async with routing(pod, max_body_bytes=100_000) as router:
            sent = in_chunks(body, 10_000) if is_chunked else body
            async with router.client.post(router.address + CHAT, data=sent) as answer:
                assert answer.status == 413
                assert (await answer.json())["error"]["code"] == "request_too_large"
        assert not pod.received

    run(scenario)


def test_a_body_that_grows_over_the_limit_while_it_is_relayed_is_refused():
    async def scenario():
        pod = FakePod()
        async with routing(pod, max_body_bytes=1_000_000) as router:
            sent = in_chunks(json.dumps(caption_of(3000)).encode(), 20_000)
            async with router.client.post(router.address + CAPTIONS, data=sent) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (
                    413,
                    "request_too_large",
                )
        assert not pod.received

    run(scenario)


def test_a_refusal_comes_before_the_upload():
    async def scenario():
        limit = {"max_body_bytes": 100_000}
        async with routing(FakePod(), **limit) as router, router.connection() as (reader, writer):
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
            writer.write((head + "Expect: 100-continue\r\n\r\n").encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")

    run(scenario)


def test_a_client_that_waits_for_100_continue_gets_it():
    async def scenario():
        async with routing(FakePod()) as router, router.connection() as (reader, writer):
            body = json.dumps(QUESTION)
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            writer.write((head + "Expect: 100-continue\r\n\r\n").encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body.encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    run(scenario)


def test_100_continue_is_sent_once():
    async def scenario():
        async with routing(FakePod()) as router, router.connection() as (reader, writer):
            head = (
                "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n"
            )
            writer.write((head + "Expect: 100-continue\r\n\r\n{}").encode())
            received = await reader.read()
            assert received.count(b"100 Continue") <= 1
            assert b"HTTP/1.1 200 " in received

    run(scenario)


@pytest.mark.parametrize("num_bytes", [10, 150_000], ids=["before the choice", "on its way"])
def test_a_body_that_stalls_is_refused(num_bytes):
    async def scenario():
        pod, body = FakePod(), json.dumps(caption_of(400)).encode()
        async with (
            routing(pod, body_idle_timeout_s=0.1) as router,
            router.connection() as (reader, writer),
        ):
            head = f"POST {CAPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body[:num_bytes])
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        assert not pod.received

    run(scenario)


def test_a_body_with_a_coding_is_not_relayed():
    async def scenario():
        pod = FakePod()
        async with (
            routing(pod) as router,
            router.client.post(
                router.address + CHAT, data=b"x" * 10_000, compress="gzip"
            ) as answer,
        ):
            assert answer.status == 415
            assert (await answer.json())["error"]["code"] == "unsupported_media_type"
        assert not pod.received

    run(scenario)


def test_a_body_with_the_coding_identity_is_relayed_as_it_is():
    async def scenario():
        pod, headers = FakePod(), {"Content-Encoding": "identity"}
        async with routing(pod) as router:
            await router.answer(CHAT, QUESTION, headers=headers)
        assert json.loads(pod.received[0].body) == QUESTION

    run(scenario)


def test_a_body_with_malformed_chunks_is_the_clients_error():
    async def scenario():
        pod = FakePod()
        async with routing(pod) as router, router.connection() as (reader, writer):
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(head.encode())
            await writer.drain()
            writer.write(b"nonsense\r\n")
            assert (await reader.readline()).split()[1] == b"400"
        assert not pod.received

    run(scenario)


def test_an_unreachable_endpoint_is_tried_once_and_the_request_answered_elsewhere():
    async def scenario():
        first, second = FakePod(), FakePod(model="second", backlog_s=5)
        async with contextlib.AsyncExitStack() as first_life:
            address = await first_life.enter_async_context(pods.running(first))
            async with routing(
                second, dead=[address], poll_interval_s=60, stale_after_s=120
            ) as router:
                await router.until(lambda all_of: all(each["ready"] for each in all_of))
                await first_life.aclose()
                for _ in range(2):
                    status, answer, _ = await router.answer(CHAT, QUESTION)
                    assert (status, answer["model"]) == (200, "second")
                assert sum(await router.metric("flamingo_router_retries_total")) == 1

    run(scenario)


@pytest.mark.parametrize("state", ["draining", "loading"])
@pytest.mark.parametrize("answers_unread", [False, True], ids=["when read", "at once"])
def test_a_pod_that_accepts_no_more_requests_is_passed_over(state, answers_unread):
    async def scenario():
        first = FakePod(answers_unread=answers_unread)
        second = FakePod(model="second", backlog_s=5)
        async with routing(first, second, poll_interval_s=60, stale_after_s=120) as router:
            first.state = state
            status, answer, _ = await router.answer(CAPTIONS, caption_of(100))
            assert (status, answer["model"]) == (200, "second")
        assert json.loads(second.received[0].body) == caption_of(100)

    run(scenario)


def test_the_refusal_of_the_only_pod_passes_through():
    async def scenario():
        pod = FakePod()
        async with routing(pod, poll_interval_s=60, stale_after_s=120) as router:
            pod.state = "draining"
            status, answer, _ = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["message"]) == (503, "this pod is draining")
            status, answer, headers = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["code"]) == (503, "no_endpoint_ready")
            assert int(headers["Retry-After"]) > 0

    run(scenario)


def test_a_body_too_large_to_keep_is_not_retried():
    async def scenario():
        first, second = FakePod(), FakePod(backlog_s=5)
        async with routing(
            first, second, poll_interval_s=60, stale_after_s=120, replay_buffer_bytes=10_000
        ) as (router):
            first.state = "draining"
            status, answer, _ = await router.answer(CAPTIONS, caption_of(1000))
            assert (status, answer["error"]["code"]) == (503, "draining")
        assert not second.received

    run(scenario)


def test_a_request_that_crashes_pods_does_not_go_round_the_fleet():
    async def scenario():
        fakes = [FakePod(aborts_unanswered=True) for _ in range(4)]
        async with routing(*fakes) as router:
            status, answer, headers = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["code"]) == (502, "upstream_lost")
            assert int(headers["Retry-After"]) > 0
        assert sum(len(fake.received) for fake in fakes) == 2

    run(scenario)


def test_a_fleet_without_a_pod_returns_openais_error_shape(unused_address):
    async def scenario():
        async with routing(dead=[unused_address]) as router:
            status, answer, headers = await router.answer(CHAT, QUESTION)
            assert status == 503
            assert answer["error"] == {
                "message": "no pod is ready; retry in 5 s",
                "type": "server_error",
                "param": None,
                "code": "no_endpoint_ready",
            }
            assert int(headers["Retry-After"]) > 0
            assert int(headers["retry-after-ms"]) > 0

    run(scenario)


def test_the_crash_of_the_last_pod_is_reported_too():
    async def scenario():
        pod = FakePod()
        async with contextlib.AsyncExitStack() as life:
            address = await life.enter_async_context(pods.running(pod))
            async with routing(dead=[address], poll_interval_s=60, stale_after_s=120) as router:
                await router.until(lambda all_of: all_of[0]["ready"])
                await life.aclose()
                status, answer, headers = await router.answer(CHAT, QUESTION)
                assert (status, answer["error"]["code"]) == (503, "no_endpoint_ready")
                assert "Retry-After" in headers

    run(scenario)


def test_a_fleet_at_capacity_refuses_and_states_when_to_retry():
    async def scenario():
        pod = FakePod(backlog_s=130)
        async with routing(pod, max_backlog_s=100) as router:
            status, answer, headers = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["code"]) == (429, "overloaded")
            assert 25 <= int(headers["Retry-After"]) <= 30
        assert not pod.received

    run(scenario)


def test_a_pods_own_error_passes_through_unchanged_and_ejects_nothing():
    async def scenario():
        refusal = errors.AudioTooLong("the clip is longer than 1200 s", param="audio")
        pod, other = FakePod(fails_with=refusal), FakePod(backlog_s=5)
        async with routing(pod, other) as router:
            for _ in range(20):
                status, answer, headers = await router.answer(CHAT, QUESTION)
                assert (status, answer) == (400, errors.to_body(refusal))
                assert headers["x-should-retry"] == "false"
            assert (await router.get("/health"))[1]["ready"] == 2
        assert (len(pod.received), len(other.received)) == (20, 0)

    run(scenario)


def test_an_early_refusal_of_a_large_upload_passes_through():
    async def scenario():
        refusal = errors.RequestTooLarge("this pod takes less")
        async with routing(FakePod(fails_with=refusal, answers_unread=True)) as router:
            sent = io.BytesIO(json.dumps(caption_of(7000)).encode())
            async with router.client.post(router.address + CAPTIONS, data=sent) as answer:
                assert (answer.status, await answer.json()) == (413, errors.to_body(refusal))

    run(scenario)


@pytest.mark.parametrize("body", [QUESTION, STREAMED], ids=["waiting", "in mid-stream"])
def test_a_client_that_disconnects_cancels_its_request_at_the_pod(body):
    async def scenario():
        pod = FakePod(release=asyncio.Event(), waits_after_words=1)
        async with routing(pod) as router:
            asking = asyncio.create_task(router.client.post(router.address + CHAT, json=body))
            await pod.has_arrived.wait()
            if body is STREAMED:
                answer = await asking
                await answer.content.readuntil(b"\n\n")
                answer.close()
            else:
                asking.cancel()
            await pod.was_cancelled.wait()
            await router.until(none_in_flight)
            codes = await router.metric('flamingo_router_requests_total{code="499"')
            assert codes == [1.0]

    run(scenario)


def test_a_client_that_disconnects_during_its_upload_leaves_nothing_behind():
    async def scenario():
        pod = FakePod()
        async with routing(pod) as router, router.connection() as (_, writer):
            head = f"POST {CAPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
            writer.write(head.encode() + json.dumps(caption_of(200)).encode()[:150_000])
            await router.until(lambda all_of: all_of[0]["num_open"] == 1)
            writer.transport.abort()
            await router.until(none_in_flight)
        assert not pod.received

    run(scenario)


def test_a_stream_whose_pod_crashes_ends_with_an_error_and_no_done():
    async def scenario():
        async with routing(FakePod(aborts_after_words=2)) as router:
            async with router.post(CHAT, STREAMED) as answer:
                assert answer.status == 200
                events = (await answer.read()).strip().split(b"\n\n")
            assert [b"error" in event for event in events] == [False, False, True]
            attempts = 'flamingo_router_upstream_attempts_total{outcome="'
            assert await router.metric(attempts) == [1.0]
            assert json.loads(events[-1].strip()[6:])["error"]["code"] == "upstream_lost"

    run(scenario)


class AbortsInALine(FakePod):
    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b'data: {"n": 1}\n\ndata: {"n')
        return self._abort(request)


def test_half_an_event_of_a_crashed_pod_never_reaches_the_client():
    async def scenario():
        async with routing(AbortsInALine()) as router, router.post(CHAT, STREAMED) as answer:
            first, last = (await answer.read()).strip().split(b"\n\n")
            assert first == b'data: {"n": 1}'
            assert json.loads(last.strip()[6:])["error"]["code"] == "upstream_lost"

    run(scenario)


@pytest.mark.parametrize("answer_bytes", [0, 100_000], ids=["chunked", "with a length"])
def test_a_response_whose_pod_crashes_is_aborted(answer_bytes):
    async def scenario():
        pod = FakePod(aborts_mid_response=True, answer_bytes=answer_bytes)
        async with routing(pod) as router, router.post(CHAT, QUESTION) as answer:
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    run(scenario)


def test_a_short_response_whose_pod_crashes_becomes_an_error():
    async def scenario():
        async with routing(FakePod(aborts_mid_response=True, answer_bytes=500)) as router:
            status, answer, _ = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["code"]) == (502, "upstream_lost")

    run(scenario)


def test_health_reports_how_many_endpoints_are_ready(unused_address):
    async def scenario():
        pod = FakePod()
        async with routing(pod, dead=[unused_address]) as router:
            for path in ("/health", "/health/ready"):
                expected = {"status": "ready", "ready": 1, "endpoints": 2}
                assert await router.get(path) == (200, expected)
            pod.state = "draining"
            await router.until(lambda all_of: not any(each["ready"] for each in all_of))
            status, health = await router.get("/health/ready")
            assert (status, health["status"]) == (503, "no_endpoint_ready")
            assert (await router.get("/health/live"))[0] == 200

    run(scenario)


def test_a_draining_router_completes_requests_in_flight_and_accepts_no_new_ones():
    async def scenario():
        pod = FakePod(release=asyncio.Event())
        async with routing(pod) as router:
            held = asyncio.create_task(router.answer(CHAT, QUESTION))
            await pod.has_arrived.wait()
            draining = asyncio.create_task(router.app[router_app.DRAIN_GATE].close())
            async with router.client.get(router.address + "/health/ready") as answer:
                assert (answer.status, (await answer.json())["status"]) == (503, "draining")
                assert answer.headers["Connection"] == "close"
            status, answer, _ = await router.answer(CHAT, QUESTION)
            assert (status, answer["error"]["code"]) == (503, "draining")
            assert not draining.done()
            pod.release.set()
            assert (await held)[0] == 200
            await draining

    run(scenario)


def test_metrics_count_routes_codes_audio_and_backlog():
    async def scenario():
        async with routing(FakePod(backlog_s=3)) as router:
            await router.answer(CAPTIONS, caption_of(42))
            await router.answer("/v1/nothing", QUESTION)
            answered = f'flamingo_router_requests_total{{code="200",route="{CAPTIONS}"}}'
            assert await router.metric(answered) == [1.0]
            other = 'flamingo_router_requests_total{code="404",route="other"}'
            assert await router.metric(other) == [1.0]
            assert await router.metric('flamingo_router_audio_seconds_total{source="exact"}') == [
                42
            ]
            assert (await router.metric("flamingo_router_backlog_seconds"))[0] > 2
            waited = 'flamingo_router_wait_seconds_count{priority="normal"}'
            assert await router.metric(waited) == [1.0]

    run(scenario)


def test_the_page_is_served():
    async def scenario():
        async with routing(FakePod()) as router, router.client.get(router.address) as answer:
            assert (answer.status, answer.content_type) == (200, "text/html")

    run(scenario)
