"""Answers, as a caller gets them.

A caption is the server's own `Caption`. What holds an embedding is decoded to
numpy here.

Pure.
"""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flamingo.client.failures import UnexpectedAnswer
from flamingo_common.wire import responses
from flamingo_common.wire.requests import Layer, Pooling


class Reply(responses.ChatCompletion):
    """The answer to a chat: OpenAI's completion, and its words as `text`."""

    @property
    def text(self) -> str:
        """The answer's words."""
        return self.choices[0].message.content

    @property
    def finish_reason(self) -> responses.FinishReason:
        """`length` when the answer was cut at `max_tokens`."""
        return self.choices[0].finish_reason


@dataclass(frozen=True, eq=False)
class Embedding:
    """A clip as numbers."""

    embedding: NDArray[np.float32]
    """(frames, dimensions); one row when pooled."""
    frame_timestamps: NDArray[np.float64] | None
    """Where each frame starts, in seconds; None when pooled."""
    layer: Layer
    pooling: Pooling
    model: str
    usage: responses.EmbeddingUsage


@dataclass(frozen=True, eq=False)
class Analysis:
    """A clip in words and as numbers, from one listening."""

    caption: str
    finish_reason: responses.FinishReason
    embedding: NDArray[np.float32]
    """(frames, dimensions); one row when pooled."""
    frame_timestamps: NDArray[np.float64] | None
    """Where each frame starts, in seconds; None when pooled."""
    model: str
    usage: responses.Usage


def parse_embedding(body: bytes) -> Embedding:
    """Return the answer of `/v1/audio/embeddings`.

    Raises:
        UnexpectedAnswer: numbers and shape do not agree.
        ValidationError: it is another answer altogether.
    """
    answer = responses.EmbeddingList.model_validate_json(body)
    if len(answer.data) != 1:
        raise UnexpectedAnswer(f"one clip was sent, {len(answer.data)} embeddings came back")
    data = answer.data[0]
    return Embedding(
        embedding=_rows(data),
        frame_timestamps=_timestamps(data),
        layer=data.layer,
        pooling=data.pooling,
        model=answer.model,
        usage=answer.usage,
    )


def parse_analysis(body: bytes) -> Analysis:
    """Return the answer of `/v1/audio/analyze`; raises as `parse_embedding` does."""
    answer = responses.Analysis.model_validate_json(body)
    return Analysis(
        caption=answer.caption,
        finish_reason=answer.finish_reason,
        embedding=_rows(answer.embedding),
        frame_timestamps=_timestamps(answer.embedding),
        model=answer.model,
        usage=answer.usage,
    )


def _rows(data: responses.EmbeddingData) -> NDArray[np.float32]:
    try:
        if isinstance(data.embedding, str):
            flat = np.frombuffer(base64.b64decode(data.embedding, validate=True), dtype="<f4")
            return flat.reshape(data.shape).astype(np.float32)  # a copy: frombuffer's is read-only
        return np.array(data.embedding, dtype=np.float32).reshape(data.shape)
    except ValueError as error:
        raise UnexpectedAnswer(f"the embedding is not of shape {data.shape}: {error}") from None


def _timestamps(data: responses.EmbeddingData) -> NDArray[np.float64] | None:
    if data.frame_timestamps is None:
        return None
    return np.array(data.frame_timestamps, dtype=np.float64)
