"""Streams: heartbeats during silence, errors, and deadlines."""

import asyncio
import json
import time

import aiohttp
import openai
import pytest
from aiohttp import web
from fakes.patience import PATIENCE_S

from flamingo_common import errors
from flamingo_common.service import http as http_app
from flamingo_common.wire import DEADLINE_HEADER, responses
from flamingo_pod.api.generation import stream

QUESTION = {"messages": [{"role": "user", "content": "Which key is it in?"}]}
LONG = QUESTION | {"max_tokens": 3000, "temperature": 0}


def chunk(word):
    choice = responses.ChunkChoice(delta=responses.Delta(content=word))
    return responses.ChatCompletionChunk(id="a", created=0, model="m", choices=[choice])


def streaming(events, play, *, heartbeat_interval_s):
    """Serve what `events()` yields; return what `play(address)` returns."""

    async def main():
        async def handle(request):
            return await stream.respond(
                request, events(), heartbeat_interval_s=heartbeat_interval_s
            )

        app = http_app.create_app(max_body_bytes=2**20)
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await play(f"http://{host}:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


async def ask(address):
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{address}/v1/chat/completions") as answer,
    ):
        return answer.status, (await answer.read()).decode().split("\n\n")[:-1]


def is_beat(frame):
    return frame.startswith(":")


def test_a_stream_without_silence_has_no_comments():
    async def events():
        for word in "abc":
            yield chunk(word)

    status, frames = streaming(events, ask, heartbeat_interval_s=60)
    assert (status, len(frames), frames[-1]) == (200, 4, "data: [DONE]")
    assert not any(map(is_beat, frames))


def test_a_silent_stream_gets_comments():
    async def events():
        await asyncio.sleep(0.3)
        yield chunk("a")
        await asyncio.sleep(0.3)
        yield chunk("b")

    status, frames = streaming(events, ask, heartbeat_interval_s=0.1)
    words = [number for number, frame in enumerate(frames) if not is_beat(frame)]
    assert status == 200
    assert len(words) == 3
    assert words[0] >= 1
    assert words[1] - words[0] >= 2


@pytest.mark.parametrize("kind", [errors.ContextTooLong, ValueError])
def test_an_early_error_is_a_plain_response(kind):
    async def events():
        raise kind("no")
        yield chunk("a")

    status, _ = streaming(events, ask, heartbeat_interval_s=30)
    assert status == (400 if kind is errors.ContextTooLong else 500)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(errors.DeadlineExceeded, "deadline_exceeded"), (ValueError, "internal_error")],
)
def test_a_late_error_is_the_last_event(kind, code):
    async def events():
        await asyncio.sleep(0.3)
        raise kind("the secret of the house")
        yield chunk("a")

    status, frames = streaming(events, ask, heartbeat_interval_s=0.1)
    assert status == 200
    assert is_beat(frames[0])
    assert json.loads(frames[-1].removeprefix("data: "))["error"]["code"] == code
    assert kind is errors.DeadlineExceeded or "secret" not in frames[-1]


def test_a_client_that_disconnects_before_the_first_event_ends_the_work():
    ended = asyncio.Queue()

    async def events():
        try:
            await asyncio.Event().wait()
            yield chunk("a")
        finally:
            ended.put_nowait(None)

    async def leave(address):
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{address}/v1/chat/completions") as answer,
        ):
            await answer.content.readuntil(b"\n\n")
        await ended.get()

    streaming(events, leave, heartbeat_interval_s=0.05)


def test_openais_client_ignores_the_comments():
    async def events():
        for word in ("In ", "A."):
            await asyncio.sleep(0.2)
            yield chunk(word)

    async def play(address):
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="none") as client:
            chunks = await client.chat.completions.create(model="m", stream=True, **QUESTION)
            return "".join([event.choices[0].delta.content async for event in chunks])

    assert streaming(events, play, heartbeat_interval_s=0.05) == "In A."


def late(http, body, deadline_ms):
    headers = {DEADLINE_HEADER: str(deadline_ms)}
    return http.post("/v1/chat/completions", json=body, headers=headers)


def test_an_answer_past_its_deadline_fails_without_a_retry(http):
    answer = late(http, LONG, 100)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (504, "false")
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert late(http, QUESTION | {"max_tokens": 2}, 60_000).status_code == 200


def test_a_stream_past_its_deadline_ends_with_the_error(http):
    answer = late(http, LONG | {"stream": True}, 150)
    assert "deadline_exceeded" in answer.text
    assert "[DONE]" not in answer.text


def test_an_embedding_past_its_deadline_fails(http, clips):
    answer = http.post(
        "/v1/audio/embeddings", files={"file": clips["notes.mp3"]}, headers={DEADLINE_HEADER: "1"}
    )
    assert answer.json()["error"]["code"] == "deadline_exceeded"


def test_work_past_its_deadline_is_stopped(http):
    late(http, LONG, 100)
    deadline_s = time.monotonic() + PATIENCE_S
    while http.get("/stats").json()["num_running"] and time.monotonic() < deadline_s:
        time.sleep(0.02)  # between two requests to a real process; no result depends on it
    assert http.get("/stats").json()["num_running"] == 0


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "1e3", "99999999", "٣", "1" * 5000])
def test_a_deadline_is_a_number_of_milliseconds(http, text):
    headers = {DEADLINE_HEADER.encode(): text.encode()}
    answer = http.post("/v1/chat/completions", json=QUESTION, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == DEADLINE_HEADER
