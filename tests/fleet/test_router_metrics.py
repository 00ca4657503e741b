"""The router's metrics of what clients see: latencies by the length of the clip, and errors."""

import asyncio
import json
import re

from aiohttp import web
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, STREAMED, caption_of, routing, run

from flamingo_common import errors
from flamingo_common.wire import sse
from flamingo_router.app import BALANCER

DURATIONS = "flamingo_router_request_duration_seconds_count"
FIRST_TOKENS = "flamingo_router_time_to_first_token_seconds_count"
ERRORS = "flamingo_router_errors_total"


async def counts(router, name):
    """Return the samples of a metric with one label, by its value."""
    async with router.client.get(router.address + "/metrics") as answer:
        lines = [line for line in (await answer.text()).splitlines() if line.startswith(name + "{")]
    values = {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in lines}
    return {label: value for label, value in values.items() if value}


async def error_counts(router):
    """Return how many errors there were, by code and source."""
    async with router.client.get(router.address + "/metrics") as answer:
        text = await answer.text()
    found = re.findall(rf'{ERRORS}{{code="(\w+)",source="(\w+)"}} (\S+)', text)
    return {(code, source): float(value) for code, source, value in found if float(value)}


def test_latencies_are_observed_by_the_length_of_the_clip():
    async def scenario():
        async with routing(FakePod()) as router:
            for seconds in (3, 12, 150):
                await router.answer(CAPTIONS, caption_of(seconds))
            await router.answer(CHAT, QUESTION)
            assert await counts(router, DURATIONS) == {"none": 1, "0-30s": 2, "2m-5m": 1}

    run(scenario)


def test_an_endpoint_that_is_gone_has_no_series():
    async def scenario():
        pod, other = FakePod(), FakePod(backlog_s=5)
        async with routing(pod, other) as router:
            await router.answer(CHAT, QUESTION)
            assert await router.metric("flamingo_router_upstream_attempts_total") == [1]
            router.app[BALANCER].set_members({other.address: True})
            async with router.client.get(router.address + "/metrics") as answer:
                assert pod.address not in await answer.text()

    run(scenario)


def test_only_streams_have_a_time_to_first_token():
    async def scenario():
        async with routing(FakePod()) as router:
            await router.answer(CAPTIONS, caption_of(3))
            async with router.post(CAPTIONS, caption_of(42) | {"stream": True}) as answer:
                await answer.read()
            assert await counts(router, FIRST_TOKENS) == {"30s-2m": 1}
            assert await counts(router, DURATIONS) == {"0-30s": 1, "30s-2m": 1}

    run(scenario)


class Comments(FakePod):
    """Sends comments, and never an event."""

    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": still working\n\n")
        return response


def test_a_comment_of_a_stream_is_not_its_first_token():
    async def scenario():
        async with routing(Comments()) as router:
            async with router.post(CHAT, STREAMED) as answer:
                assert await answer.read() == b": still working\n\n"
            assert await counts(router, FIRST_TOKENS) == {}

    run(scenario)


def test_requests_that_fail_have_no_latency():
    async def scenario():
        async with routing(FakePod(fails_with=errors.InvalidAudio("noise"))) as router:
            assert (await router.answer(CAPTIONS, caption_of(3)))[0] == 400
            assert await counts(router, DURATIONS) == {}
            assert await error_counts(router) == {("invalid_audio", "pod"): 1}

        async with routing(FakePod(aborts_after_words=2)) as router:
            async with router.post(CHAT, STREAMED) as answer:
                await answer.read()
            assert await counts(router, DURATIONS) == {}
            assert await error_counts(router) == {("upstream_lost", "router"): 1}

    run(scenario)


def test_errors_and_retries_that_did_not_happen_yet_are_zero():
    # Otherwise the first of them has no rate.
    async def scenario():
        async with (
            routing(FakePod()) as router,
            router.client.get(router.address + "/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
            assert f'{ERRORS}{{code="overloaded",source="router"}} 0.0' in lines
            assert 'flamingo_router_retries_total{reason="lost"} 0.0' in lines

    run(scenario)


def test_errors_of_the_router_are_counted_by_their_code():
    async def scenario():
        pod = FakePod(release=asyncio.Event())
        async with routing(pod, max_queued=0, max_backlog_s=0.001) as router:
            held = asyncio.create_task(router.answer(CAPTIONS, caption_of(30)))
            await pod.has_arrived.wait()
            assert (await router.answer(CAPTIONS, caption_of(30)))[0] == 429
            assert (await router.answer("/v1/nothing", QUESTION))[0] == 404
            pod.release.set()
            await held
            assert await error_counts(router) == {
                ("overloaded", "router"): 1,
                ("not_found", "router"): 1,
            }

    run(scenario)


class Fails(FakePod):
    """Ends a stream with an error."""

    async def _stream(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(sse.encode_event('{"choices": [{"delta": {"content": "a"}}]}'))
        failed = errors.to_body(errors.InternalError("a bug"))
        await response.write(sse.encode_event(json.dumps(failed)))
        return response


def test_an_error_that_ends_a_stream_of_a_pod_is_counted():
    async def scenario():
        async with routing(Fails()) as router:
            async with router.post(CHAT, STREAMED) as answer:
                assert answer.status == 200
                await answer.read()
            assert await error_counts(router) == {("internal_error", "pod"): 1}
            assert await counts(router, FIRST_TOKENS) == {"none": 1}
            assert await counts(router, DURATIONS) == {}

    run(scenario)


def test_an_error_of_a_pod_that_another_pod_makes_good_is_not_counted():
    async def scenario():
        async with routing(FakePod(state="draining"), FakePod()) as router:
            for _ in range(4):
                assert (await router.answer(CAPTIONS, caption_of(3)))[0] == 200
            assert await error_counts(router) == {}

    run(scenario)
