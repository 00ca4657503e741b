"""Format the encoder's output as the embedding that the client requested.

Frame i covers `[i, i + 1) * 40 ms` of the clip; its timestamp is its start.
"""

import asyncio
import io

import numpy as np
import pybase64
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from pydantic_core import to_json

from flamingo_common.audio import windows
from flamingo_common.wire.requests import EmbeddingOptions
from flamingo_common.wire.responses import EmbeddingData
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.served_model import ServedModel

Rows = NDArray[np.float32]
PLACEHOLDER = b'"embedding":""'
"""Replaced by the numbers; inside a JSON string its quotes would be escaped."""
ROWS_AT_ONCE = 8
"""Ten thousand numbers, which take a millisecond."""


async def compute_rows(
    served: ServedModel,
    audio: ClipAudio,
    options: EmbeddingOptions,
    stats: RequestStats | None = None,
) -> Rows:
    """Return the embedding as float32 `(frames, width)`, or `(1, width)` if pooled."""
    if options.layer == "projector":
        states = await served.engine.project(audio, stats)
    else:
        states = await served.engine.encode(audio, stats)
    # In a thread: it waits for a GPU, and a clip of 20 minutes has 38 million numbers.
    return await asyncio.to_thread(_values, states, is_pooled=options.pooling == "mean")


def _values(states: torch.Tensor, *, is_pooled: bool) -> Rows:
    # float32 first: numpy has no bfloat16.
    values: Rows = states.float().cpu().numpy()
    return values.mean(axis=0, keepdims=True) if is_pooled else values


def embedding_data(values: Rows, options: EmbeddingOptions, first_frame: int = 0) -> EmbeddingData:
    """Return the response's embedding: as base64 of little-endian float32, or without numbers.

    Times are those of the whole clip, in which the rows begin at `first_frame`. The numbers are
    added by `encode`.
    """
    num_rows, width = values.shape
    is_pooled = options.pooling == "mean"
    return EmbeddingData(
        embedding=_base64(values) if options.encoding_format == "base64" else "",
        shape=(num_rows, width),
        layer=options.layer,
        pooling=options.pooling,
        frame_timestamps=None if is_pooled else _frame_starts_s(first_frame, num_rows),
    )


def encode(response: BaseModel, values: Rows) -> bytes:
    """Return `response` as JSON, with the numbers of `values` in place of the empty embedding.

    A clip of 20 minutes has 38 million numbers. Encoded at once they would hold the interpreter
    lock for seconds, from any thread, and block all other requests.
    """
    text = response.model_dump_json().encode()
    head, placeholder, tail = text.partition(PLACEHOLDER)
    if not placeholder:
        return text
    rows = (to_json(values[at : at + ROWS_AT_ONCE].tolist())[1:-1] for at in _chunk_starts(values))
    return b"".join([head, PLACEHOLDER[:-2], b"[", b",".join(rows), b"]", tail])


def _chunk_starts(values: Rows) -> range:
    return range(0, len(values), ROWS_AT_ONCE)


def encode_vector(values: Rows, options: EmbeddingOptions) -> list[float] | str:
    """Return a pooled embedding's row, as numbers or as base64 of little-endian float32."""
    row: list[float] = values[0].tolist()
    return _base64(values) if options.encoding_format == "base64" else row


def encode_npy(values: Rows) -> bytes:
    """Return `values` as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _base64(values: Rows) -> str:
    return pybase64.b64encode_as_string(values.astype("<f4").tobytes())


def _frame_starts_s(first_frame: int, num_frames: int) -> list[float]:
    frames = range(first_frame, first_frame + num_frames)
    return [round(frame * windows.FRAME_S, 2) for frame in frames]
