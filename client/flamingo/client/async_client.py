"""The asyncio client, whose defaults come from `FLAMINGO_URL` and `FLAMINGO_API_KEY`.

Arguments are sent unchanged, and the server validates them; responses are returned as
typed objects. `FlamingoClient` has the same methods for synchronous code.
"""

import asyncio
import contextlib
import functools
import weakref
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Self, TypedDict, TypeVar, Unpack

from flamingo.client import calls, environment, fields, sources
from flamingo.client.batch_methods import BatchMethods
from flamingo.client.batches import AsyncBatches
from flamingo.client.calls import Call
from flamingo.client.clip_reuse import ClipReuse
from flamingo.client.decision_methods import DecisionMethods
from flamingo.client.fields import (
    AnalysisOptions,
    ClipOptions,
    Messages,
    Questions,
    SamplingOptions,
)
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.sources import Audio, ClipId
from flamingo.client.stream_methods import StreamMethods
from flamingo.client.streams import AsyncChunkStream
from flamingo.client.transport import ApiRequest, RetryOptions, Sleep, Transport
from flamingo_common.wire import answers, report, responses
from flamingo_common.wire.requests import Layer, Pooling, Style

STREAMING = {
    calls.CHAT: "use stream_chat()",
    calls.CAPTIONS: "use stream_caption()",
    calls.ANALYZE: "use stream_analyze()",
    calls.EMBEDDINGS: "an embedding is not streamed",
    calls.DECISIONS: "decisions are not streamed",
}

T = TypeVar("T")


class RareOptions(TypedDict, total=False):
    """The keyword arguments of a client's constructor that few programs need."""

    sleep: Sleep
    reuse_clips: bool


class ClientOptions(RareOptions, total=False):
    """The keyword arguments of a client's constructor."""

    api_key: str | None
    timeout_s: float
    max_retries: int


class AsyncFlamingoClient(BatchMethods, DecisionMethods, StreamMethods):
    """An asyncio client for a fleet (a router) or a single pod.

    An instance opens connections for each event loop and each process that uses it. Every
    method raises a `FlamingoError`: the class in `flamingo.errors` that matches the server's
    error code, or `CannotConnect`, `TimedOut` or `UnexpectedResponse`. `error.request_id`
    identifies the request in the server's log.

    Example:
        async with AsyncFlamingoClient("http://127.0.0.1:8000") as client:
            caption = await client.caption("song.mp3", style="brief")
            print(caption.caption)
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout_s: float = 600,
        max_retries: int = 2,
        **options: Unpack[RareOptions],
    ) -> None:
        """Configure a client; it connects on the first request.

        Args:
            base_url: URL of the fleet, with or without `/v1`. Default: `FLAMINGO_URL`, or
                `http://127.0.0.1:8000`.
            api_key: sent as a bearer token, without blanks and line breaks around it.
                Default: `FLAMINGO_API_KEY`, or none.
            timeout_s: read timeout: seconds without a byte from the server after which a
                request fails with `TimedOut`.
            max_retries: how many times to resend a request that failed before its response
                began and can succeed later.
            **options: `sleep` is awaited with the number of seconds between attempts.
                `reuse_clips` (True): while the fleet holds a clip from an earlier request of this
                client, its id is sent instead of the clip.

        Raises:
            BadRequest: the URL is not a valid http or https URL, or no header can carry the key.
        """
        url = environment.base_url(base_url)
        self._streams: weakref.WeakSet[AsyncChunkStream[Any, Any]] = weakref.WeakSet()
        sleep = options.get("sleep", asyncio.sleep)
        headers = _default_headers(environment.authorization(api_key, url))
        self._transport = Transport(url.root, headers, RetryOptions(timeout_s, max_retries, sleep))
        self._clips = ClipReuse(self._transport, is_enabled=options.get("reuse_clips", True))
        self.batches = AsyncBatches(self._transport, sleep)
        """The batches that the fleet's service keeps, if it has one."""

    @property
    def base_url(self) -> str:
        """The fleet's base URL, without `/v1`."""
        return self._transport.root

    async def caption(
        self,
        audio: Audio,
        *,
        style: Style = "detailed",
        prompt: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> responses.Caption:
        """Describe `audio` in words.

        Args:
            audio: a path, an http(s) URL, bytes, or a file opened in binary mode. A URL is
                downloaded by this client, not by the server. A `ClipId` is a clip that the fleet
                holds.
            style: which built-in prompt to use: `detailed`, `brief` or `technical`.
            prompt: a prompt of your own instead of the style's.
            **sampling: see `SamplingOptions`.

        Returns:
            The caption, with `finish_reason` (`length` if `max_tokens` was reached) and
            `usage` (tokens, and seconds of audio).

        Raises:
            InvalidAudio: the file cannot be read, is empty, or is not in a supported format.
            AudioDamaged: more of the clip is missing than `allow_damaged` allows.
            AudioTooLong: the clip exceeds the model's limit; see `models()` and `truncate`.

        Example:
            client.caption("song.mp3", style="brief", max_tokens=200)
        """
        return await self._post(calls.caption(style=style, prompt=prompt, **sampling), audio)

    async def embed(
        self,
        audio: Audio,
        *,
        layer: Layer = "encoder",
        pooling: Pooling = "none",
        **options: Unpack[ClipOptions],
    ) -> Embedding:
        """Embed `audio`.

        Args:
            audio: as for `caption`.
            layer: `encoder` for the audio encoder's hidden states, `projector` for the
                audio tokens that the language model receives.
            pooling: `none` for one row per 40 ms frame, `mean` for one row per clip.
            options: `model`, `truncate` and `allow_damaged`; see `ClipOptions`.

        Returns:
            A float32 array of shape (frames, dimensions), with the time of each frame in
            seconds.

        Example:
            client.embed("song.mp3", pooling="mean").embedding[0]
        """
        return await self._post(calls.embedding(layer=layer, pooling=pooling, **options), audio)

    async def analyze(
        self,
        audio: Audio,
        *,
        questions: Questions | None = None,
        recipes: Sequence[str] | None = None,
        style: Style | None = None,
        prompt: str | None = None,
        **options: Unpack[AnalysisOptions],
    ) -> Analysis:
        """Answer several questions about `audio`, or caption and embed it; it is encoded once.

        Args:
            audio: as for `caption`.
            questions: by name, each a prompt or a mapping with one of `prompt`, `style` and
                `recipe`, and with options such as `max_tokens`, `temperature` or
                `response_format`. Or a list of such mappings, each with its `name`.
            recipes: names of recipes to ask, too; see `recipes()`.
            style: without questions: as for `caption`.
            prompt: without questions: as for `caption`.
            **options: see `SamplingOptions`, for all questions, and `embed`. With questions, an
                embedding is computed if `layer` or `pooling` is set.

        Returns:
            The answers by name, each with its `content`, and `parsed` or `sections` where its
            format has them. A question that fails has an `error`. Without questions: the caption
            and the embedding.

        Example:
            client.analyze("song.mp3", questions={"mood": "What is the mood?"}, recipes=["card"])
        """
        asked = fields.all_questions(questions, recipes)
        call = calls.analysis(questions=asked, style=style, prompt=prompt, **options)
        return await self._post(call, audio)

    async def chat(
        self,
        messages: Messages,
        *,
        audio: Audio | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Reply:
        """Return the model's reply to a conversation.

        Args:
            messages: OpenAI's chat messages. They can contain one audio part.
            audio: added to the first user message; as for `caption`.
            **sampling: see `SamplingOptions`.

        Returns:
            OpenAI's chat completion; its text is `reply.text`.

        Example:
            client.chat([{"role": "user", "content": "What key is it in?"}], audio="song.mp3")
        """
        return await self._post(calls.chat(messages, **sampling), audio)

    async def ask(
        self,
        audio: Audio,
        question: str,
        *,
        system: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Reply:
        """Return the model's reply to one question about `audio`.

        A shortcut for `chat` with one user message and, optionally, a `system` message.

        Example:
            client.ask("song.mp3", "Which instruments do you hear?").text
        """
        messages = fields.question_messages(question, system=system)
        return await self.chat(messages, audio=audio, **sampling)

    async def models(self) -> list[responses.ModelCard]:
        """Return the models that are served, each with its limits (seconds of audio, context)."""
        parse = responses.ModelList.model_validate_json
        return (await self._transport.fetch(ApiRequest("/v1/models"), parse)).data

    async def recipes(self) -> list[answers.RecipeCard]:
        """Return the recipes that questions can name."""
        parse = answers.RecipeList.model_validate_json
        return (await self._transport.fetch(ApiRequest("/v1/recipes"), parse)).data

    async def fleet(self) -> report.FleetReport:
        """Return a router's view of its pods: state, backlog in seconds, queue, arrival rates.

        Raises:
            NotFound: the server is a pod, not a router.
        """
        parse = report.FleetReport.model_validate_json
        return await self._transport.fetch(ApiRequest("/fleet"), parse)

    async def aclose(self) -> None:
        """Cancel this event loop's streams and close all connections, for good."""
        loop = asyncio.get_running_loop()
        for stream in [stream for stream in self._streams if stream.loop is loop]:
            with contextlib.suppress(RuntimeError):  # it is being read
                await stream.aclose()
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _post(self, call: Call[T], audio: Audio | None) -> T:
        if call.fields.get("stream"):
            raise TypeError(f"stream=True is not for this method: {STREAMING[call.path]}")
        async with self._open_clip(audio) as clip:
            return await self._clips.fetch(ApiRequest(call.path, call.fields, clip), call.parse)

    def _open_clip(
        self, audio: Audio | None
    ) -> contextlib.AbstractAsyncContextManager[sources.Clip | ClipId | None]:
        if audio is None or isinstance(audio, ClipId):
            return contextlib.nullcontext(audio)
        return sources.open_clip(audio, self._transport.download)


@functools.cache
def _package_version() -> str:
    return metadata.version("flamingo-fleet")


def _default_headers(authorization: str | None) -> dict[str, str]:
    headers = {"User-Agent": f"flamingo-fleet/{_package_version()}"}
    return {**headers, "Authorization": authorization} if authorization else headers
