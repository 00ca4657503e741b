"""A scripted pod: a small real server with the pod's API and no model.

A test scripts it by its fields, starts it with `async with running(pod)`, and reads the
requests that arrived from `pod.received`.
"""

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_common.wire import AUDIO_HEADER, answers, report, responses, sse

USAGE = responses.Usage(
    prompt_tokens=12,
    completion_tokens=3,
    total_tokens=15,
    prompt_tokens_details=responses.PromptTokensDetails(audio_tokens=10, text_tokens=2),
    audio_seconds=0.4,
)
EMBEDDING = responses.EmbeddingData(
    embedding=[[0.0, 0.5], [1.0, -0.5]],
    shape=(2, 2),
    layer="encoder",
    pooling="none",
    frame_timestamps=[0.0, 0.04],
)


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass
class FakePod:
    """A pod and its script."""

    model: str = "fake"
    words: tuple[str, ...] = ("a ", "quiet ", "song")
    state: report.PodState = "ready"
    backlog_s: float = 0.0
    fails_with: errors.FlamingoError | None = None
    num_failures: int | None = None
    """How many requests fail with `fails_with` before the others succeed; None: all."""
    release: asyncio.Event | None = None
    """Set by the test to let responses start; None: they start at once."""
    aborts_after_words: int | None = None
    """Abort the connection in the middle of a stream, after this many words."""
    aborts_after_done: bool = False
    """Abort the connection after `[DONE]`, before the end of the body."""
    waits_after_words: int = 0
    """How many words of a stream are sent before it waits for `release`."""
    aborts_mid_response: bool = False
    """Abort the connection in the middle of a response that is not a stream."""
    aborts_unanswered: bool = False
    """Abort the connection when the request has arrived, without a response."""
    answers_garbage: bool = False
    """Send something that is not HTTP when the request has arrived, and close the connection."""
    answer_s: float = 0.0
    """Seconds of work before a response starts."""
    word_s: float = 0.0
    """Seconds of work for each word of a stream."""
    answers_unread: bool = False
    """Refuse (`state`, `fails_with`) before the body is read."""
    window_s: float | None = None
    token_s: float | None = None
    queued_s: float | None = None
    clips: tuple[str, ...] = ()
    recipes: tuple[answers.RecipeCard, ...] = ()
    timings: tuple[report.RequestTiming, ...] = ()
    epoch: str = "1"
    reported_audio_s: float | None = None
    """How much audio the pod reports in its response."""
    answer_bytes: int = 0
    """Pad a response that is not a stream to about this size."""
    has_arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has arrived, before the response starts."""
    was_cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    received: list[Received] = field(default_factory=list)
    num_cancelled: int = 0
    sequence: int = 0
    address: str = ""

    def header_values(self, header: str) -> list[str | None]:
        """Return each request's value of a header; the header's name in lower case."""
        some = [{name.lower(): value for name, value in r.headers.items()} for r in self.received]
        return [headers.get(header) for headers in some]

    def app(self) -> web.Application:
        app = http.create_app(max_body_bytes=2**30)
        app.router.add_get("/stats", self._stats)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/recipes", self._recipes)
        app.router.add_get("/v1/models/{id:.+}", self._model)
        app.router.add_post("/v1/{rest:.*}", self._answer)
        return app

    async def _stats(self, _: web.Request) -> web.Response:
        self.sequence += 1
        return http.json_response(
            report.LoadReport(
                model=self.model,
                state=self.state,
                epoch=self.epoch,
                sequence=self.sequence,
                backlog_s=self.backlog_s,
                num_running=0,
                num_waiting=0,
                window_s=self.window_s,
                token_s=self.token_s,
                queued_s=self.queued_s,
                clips=list(self.clips),
                timings=list(self.timings),
            )
        )

    async def _ready(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"status": self.state}, status=200 if self.state == "ready" else 503
        )

    async def _models(self, _: web.Request) -> web.Response:
        return http.json_response(responses.ModelList(data=[self._card()]))

    async def _recipes(self, _: web.Request) -> web.Response:
        return http.json_response(answers.RecipeList(data=list(self.recipes)))

    async def _model(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != self.model:
            raise errors.ModelNotFound(f"this pod serves {self.model}")
        return http.json_response(self._card())

    def _card(self) -> responses.ModelCard:
        return responses.ModelCard(
            id=self.model,
            created=0,
            owned_by="tests",
            max_audio_seconds=1200,
            context_tokens=32768,
            max_model_len=32768,
            embedding_dimensions={"encoder": 2, "projector": 2},
            random_weights=True,
        )

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.answers_unread:
            self._refuse()
        body = await request.read()
        self.received.append(Received(request.path, dict(request.headers), body))
        self.has_arrived.set()
        self._refuse()
        if self.answers_garbage:
            request.transport.write(b"\x00\xffNOT/HTTP 999\r\n\r\n")
        if self.aborts_unanswered or self.answers_garbage:
            return self._abort(request, is_abrupt=self.aborts_unanswered)
        await asyncio.sleep(self.answer_s)
        is_stream = b'"stream": true' in body or b'"stream":true' in body
        if not (is_stream and self.waits_after_words):
            await self._wait_for_release()
        if is_stream:
            return await self._stream(request)
        if self.aborts_mid_response:
            return await self._abort_mid_response(request)
        answer = http.json_response(self._body(request.path))
        if self.reported_audio_s is not None:
            answer.headers[AUDIO_HEADER] = str(self.reported_audio_s)
        answer.body = bytes(answer.body) + b" " * (self.answer_bytes - len(answer.body))
        return answer

    def _refuse(self) -> None:
        if self.state in ("starting", "loading", "warming"):
            raise errors.ModelLoading("this pod is loading its model")
        if self.state != "ready":
            raise errors.Draining("this pod is draining")
        if self.fails_with is not None and self.num_failures != 0:
            if self.num_failures is not None:
                self.num_failures -= 1
            raise self.fails_with

    async def _wait_for_release(self) -> None:
        try:
            if self.release is not None:
                await self.release.wait()
        except asyncio.CancelledError:
            self.num_cancelled += 1
            self.was_cancelled.set()
            raise

    def _abort(self, request: web.Request, *, is_abrupt: bool = True) -> web.StreamResponse:
        assert request.transport is not None
        end = request.transport.abort if is_abrupt else request.transport.close
        end()
        return web.Response()

    async def _abort_mid_response(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if self.answer_bytes:
            response.content_length = self.answer_bytes
        await response.prepare(request)
        await response.write(b'{"id": "x-1", ')
        self._abort(request)
        return response

    def _body(self, path: str) -> responses.ResponseBody:
        text, common = "".join(self.words), {"id": "x-1", "created": 0, "model": self.model}
        match path:
            case "/v1/chat/completions":
                choice = responses.Choice(
                    message=responses.AssistantMessage(content=text), finish_reason="stop"
                )
                return responses.ChatCompletion(choices=[choice], usage=USAGE, **common)
            case "/v1/embeddings":
                usage = responses.EmbeddingUsage(
                    prompt_tokens=2, total_tokens=2, audio_seconds=0.08, num_frames=2
                )
                vector = responses.OpenAIEmbedding(index=0, embedding=[0.5, 0.0])
                return responses.OpenAIEmbeddingList(data=[vector], model=self.model, usage=usage)
            case "/v1/audio/captions":
                return responses.Caption(caption=text, finish_reason="stop", usage=USAGE, **common)
            case "/v1/audio/embeddings":
                usage = responses.EmbeddingUsage(
                    prompt_tokens=2, total_tokens=2, audio_seconds=0.08, num_frames=2
                )
                return responses.EmbeddingList(data=[EMBEDDING], usage=usage, **common)
            case "/v1/audio/analyze":
                return answers.Analysis(
                    caption=text, finish_reason="stop", embedding=EMBEDDING, usage=USAGE, **common
                )
        raise errors.NotFound(path)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if request.path == "/v1/responses":
            await response.write(sse.encode_event(json.dumps(ITEM_ADDED)))
        for number, word in enumerate(self.words):
            if number == self.aborts_after_words:
                self._abort(request)
                return response
            if self.waits_after_words and number == self.waits_after_words:
                await self._wait_for_release()
            await asyncio.sleep(self.word_s)
            await response.write(sse.encode_event(json.dumps(self._chunk(request.path, word))))
        await response.write(sse.encode_event(json.dumps(self._last_chunk(request.path))))
        await response.write(sse.DONE)
        if self.aborts_after_done:
            assert request.transport is not None
            request.transport.close()
        return response

    async def _send_events(
        self, request: web.Request, events: list[responses.ResponseBody]
    ) -> web.StreamResponse:
        """Send a stream of these events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            text = json.dumps(responses.to_json_dict(event))
            await response.write(sse.encode_event(text))
        await response.write(sse.DONE)
        return response

    def _chunk(self, path: str, word: str) -> dict[str, object]:
        common = {"id": "x-1", "created": 0, "model": self.model}
        if path == "/v1/chat/completions":
            choice = responses.ChunkChoice(delta=responses.Delta(content=word))
            return responses.to_json_dict(responses.ChatCompletionChunk(choices=[choice], **common))
        if path == "/v1/responses":
            return _text_event(word)
        return responses.to_json_dict(responses.CaptionChunk(delta=word, **common))

    def _last_chunk(self, path: str) -> dict[str, object]:
        common = {"id": "x-1", "created": 0, "model": self.model}
        if path == "/v1/chat/completions":
            choice = responses.ChunkChoice(delta=responses.Delta(), finish_reason="stop")
            return responses.to_json_dict(responses.ChatCompletionChunk(choices=[choice], **common))
        last = responses.CaptionChunk(delta="", finish_reason="stop", usage=USAGE, **common)
        return responses.to_json_dict(last)


ITEM_ADDED: dict[str, object] = {
    "type": "response.output_item.added",
    "sequence_number": 0,
    "output_index": 0,
    "item": {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "in_progress",
        "content": [],
    },
}


def _text_event(word: str) -> dict[str, object]:
    return {
        "type": "response.output_text.delta",
        "sequence_number": 1,
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": word,
        "logprobs": [],
    }


@contextlib.asynccontextmanager
async def running(pod: FakePod, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve `pod`, by default on a free port of loopback; yield its address."""
    runner = web.AppRunner(
        pod.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    host, port = runner.addresses[0][:2]
    pod.address = f"http://{host}:{port}"
    try:
        yield pod.address
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def served(pod: FakePod, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve `pod` from a thread, for code without an event loop; yield its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = running(pod, host, port)
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result()
    finally:
        stopping = serving.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(stopping, loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
