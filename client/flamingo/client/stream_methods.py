"""The methods of `AsyncFlamingoClient` whose responses arrive as they are generated."""

import contextlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar, Unpack

from flamingo.client import calls, fields, streams
from flamingo.client.clip_reuse import ClipReuse
from flamingo.client.fields import (
    AnalysisOptions,
    Messages,
    Questions,
    RequestFields,
    SamplingOptions,
)
from flamingo.client.sources import Audio, Clip, ClipId
from flamingo.client.streams import AsyncAnswerStream, AsyncChunkStream, AsyncTextStream
from flamingo.client.transport import ApiRequest
from flamingo_common.wire.requests import Style

C = TypeVar("C")
S = TypeVar("S", bound=AsyncChunkStream[Any, Any])


class StreamMethods(ABC):
    """The part of `AsyncFlamingoClient` about streams."""

    _clips: ClipReuse
    _streams: weakref.WeakSet[AsyncChunkStream[Any, Any]]

    @abstractmethod
    def _open_clip(
        self, audio: Audio | None
    ) -> contextlib.AbstractAsyncContextManager[Clip | ClipId | None]:
        """Open the caller's audio."""

    def stream_caption(
        self,
        audio: Audio,
        *,
        style: Style = "detailed",
        prompt: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncTextStream:
        """Describe `audio` in words, as a stream of text deltas.

        Takes the arguments of `caption`. The request is sent, and errors are raised, when
        the stream is first read.
        """
        body = fields.without_unset(style=style, prompt=prompt, stream=True, **sampling)
        chunks = self._chunks_of(calls.CAPTIONS, body, audio, streams.parse_caption_chunk)
        return self._opened(AsyncTextStream(chunks))

    def stream_chat(
        self,
        messages: Messages,
        *,
        audio: Audio | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncTextStream:
        """Return the model's reply to a conversation, as a stream of text deltas.

        Takes the arguments of `chat`. The request is sent, and errors are raised, when the
        stream is first read.
        """
        body = fields.without_unset(
            messages=list(messages),
            stream=True,
            stream_options={"include_usage": True},
            **sampling,
        )
        chunks = self._chunks_of(calls.CHAT, body, audio, streams.parse_chat_chunk)
        return self._opened(AsyncTextStream(chunks))

    def stream_ask(
        self,
        audio: Audio,
        question: str,
        *,
        system: str | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> AsyncTextStream:
        """Return the reply to one question about `audio`, as a stream of text deltas.

        Takes the arguments of `ask`; see `stream_chat`.
        """
        messages = fields.question_messages(question, system=system)
        return self.stream_chat(messages, audio=audio, **sampling)

    def stream_analyze(
        self,
        audio: Audio,
        *,
        questions: Questions | None = None,
        recipes: Sequence[str] | None = None,
        style: Style | None = None,
        prompt: str | None = None,
        **options: Unpack[AnalysisOptions],
    ) -> AsyncAnswerStream:
        """Answer several questions about `audio`, as a stream of deltas of all answers.

        Takes the arguments of `analyze`. The request is sent, and errors are raised, when the
        stream is first read. A question that fails has an `error` in its answer.

        Example:
            async for delta in client.stream_analyze("song.mp3", recipes=["card", "lyrics"]):
                print(delta.name, delta.text)
        """
        asked = fields.all_questions(questions, recipes)
        call = calls.analysis(questions=asked, style=style, prompt=prompt, **options)
        body = {**call.fields, "stream": True}
        chunks = self._chunks_of(call.path, body, audio, streams.parse_analysis_chunk)
        return self._opened(AsyncAnswerStream(chunks))

    def _opened(self, stream: S) -> S:
        """Return a stream, which the client closes at its own end."""
        self._streams.add(stream)
        return stream

    async def _chunks_of(
        self,
        path: str,
        body: RequestFields,
        audio: Audio | None,
        parse: Callable[[dict[str, Any]], C],
    ) -> AsyncGenerator[C, None]:
        async with (
            self._open_clip(audio) as clip,
            contextlib.aclosing(self._clips.events(ApiRequest(path, body, clip))) as events,
        ):
            async for event in events:
                yield parse(event)
