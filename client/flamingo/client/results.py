"""Response objects, and the parsers that decode embeddings to NumPy arrays.

Captions need no decoding: `caption` returns the wire type `Caption` itself.

Pure.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flamingo.client.failures import UnexpectedResponse
from flamingo_common.wire import answers, responses
from flamingo_common.wire.answers import Answer
from flamingo_common.wire.measured import Measured
from flamingo_common.wire.requests import Layer, Pooling


class Reply(responses.ChatCompletion):
    """The response to a chat: OpenAI's chat completion, with its text as `text`."""

    @property
    def text(self) -> str:
        """The text of the first choice; empty if it is a call of a tool."""
        return self.choices[0].message.content or ""

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered; empty if it did not."""
        return self.choices[0].message.reasoning_content or ""

    @property
    def finish_reason(self) -> responses.ChatFinishReason:
        """Why the first choice ended: `stop`, or `length` when `max_tokens` was reached."""
        return self.choices[0].finish_reason


@dataclass(frozen=True, eq=False)
class Embedding:
    """The embedding of a clip."""

    embedding: NDArray[np.float32]
    """Shape (frames, dimensions); a single row when pooled."""
    frame_timestamps: NDArray[np.float64] | None
    """Start of each frame in seconds; None when pooled."""
    layer: Layer
    pooling: Pooling
    model: str
    usage: responses.EmbeddingUsage
    audio: responses.AudioReference | None = None
    """The clip, by whose id it can be used again while the fleet holds it."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """The caption and the embedding of a clip, or the answers to questions about it."""

    caption: str | None
    """None with questions."""
    finish_reason: responses.FinishReason | None
    """`length` when the caption reached `max_tokens`; None with questions."""
    embedding: NDArray[np.float32] | None
    """Shape (frames, dimensions); a single row when pooled. None if it was not requested."""
    frame_timestamps: NDArray[np.float64] | None
    """Start of each frame in seconds; None when pooled."""
    model: str
    usage: responses.Usage
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By the names of the questions, in their order."""
    audio: responses.AudioReference | None = None
    """The clip, by whose id it can be used again while the fleet holds it."""
    measured: Measured | None = None
    """Tempo, beats, key and loudness, if `measure` was set."""


def parse_embedding(body: bytes) -> Embedding:
    """Parse a response of `/v1/audio/embeddings`.

    Raises:
        UnexpectedResponse: the data does not match its shape.
        ValidationError: the body does not match the schema.
    """
    response = responses.EmbeddingList.model_validate_json(body)
    if len(response.data) != 1:
        raise UnexpectedResponse(f"expected one embedding, got {len(response.data)}")
    data = response.data[0]
    return Embedding(
        embedding=decode_matrix(data),
        frame_timestamps=_decode_timestamps(data),
        layer=data.layer,
        pooling=data.pooling,
        model=response.model,
        usage=response.usage,
        audio=response.audio,
    )


def parse_analysis(body: bytes) -> Analysis:
    """Parse a response of `/v1/audio/analyze`.

    Raises:
        UnexpectedResponse: the data does not match its shape.
        ValidationError: the body does not match the schema.
    """
    response = answers.Analysis.model_validate_json(body)
    data = response.embedding
    return Analysis(
        caption=response.caption,
        finish_reason=response.finish_reason,
        embedding=None if data is None else decode_matrix(data),
        frame_timestamps=None if data is None else _decode_timestamps(data),
        model=response.model,
        usage=response.usage,
        answers=response.answers or {},
        audio=response.audio,
        measured=response.measured,
    )


def decode_matrix(data: responses.EmbeddingData) -> NDArray[np.float32]:
    """Return the numbers of an embedding, in the shape that it states.

    Raises:
        UnexpectedResponse: they do not match the shape.
    """
    try:
        if isinstance(data.embedding, str):
            flat = np.frombuffer(base64.b64decode(data.embedding, validate=True), dtype="<f4")
            return flat.reshape(data.shape).astype(np.float32)  # a copy: frombuffer's is read-only
        return np.array(data.embedding, dtype=np.float32).reshape(data.shape)
    except ValueError as error:
        raise UnexpectedResponse(
            f"the embedding does not match its shape {data.shape}: {error}"
        ) from None


def _decode_timestamps(data: responses.EmbeddingData) -> NDArray[np.float64] | None:
    if data.frame_timestamps is None:
        return None
    return np.array(data.frame_timestamps, dtype=np.float64)
