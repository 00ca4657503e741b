"""Encoder states → an embedding as the client asked for it.

Frame i covers `[i, i + 1) * 40 ms` of the clip; its timestamp is where it starts.
"""

import io

import numpy as np
import pybase64
from numpy.typing import NDArray
from pydantic import BaseModel
from pydantic_core import to_json

from flamingo_common.audio import windows
from flamingo_common.wire.requests import EmbeddingOptions
from flamingo_common.wire.responses import EmbeddingData
from flamingo_pod.engine.audio import ClipAudio
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.served_model import ServedModel

Rows = NDArray[np.float32]
HOLE = b'"embedding":""'
"""Stands for the numbers; in a string of JSON its quotes would be escaped."""
ROWS_AT_ONCE = 8
"""Ten thousand numbers, a millisecond."""


async def rows(
    served: ServedModel,
    audio: ClipAudio,
    options: EmbeddingOptions,
    stats: RequestStats | None = None,
) -> Rows:
    """Return float32 `(frames, width)`, or `(1, width)` when pooled."""
    if options.layer == "projector":
        states = await served.engine.project(audio, stats)
    else:
        states = await served.engine.encode(audio, stats)
    # float32 first: numpy knows no bfloat16.
    values: Rows = states.float().cpu().numpy()
    if options.pooling == "mean":
        values = values.mean(axis=0, keepdims=True)
    return values


def outline(values: Rows, options: EmbeddingOptions) -> EmbeddingData:
    """Return the embedding as base64 of little-endian float32, or without its numbers.

    Those `encode` puts in.
    """
    num_rows, width = values.shape
    is_pooled = options.pooling == "mean"
    return EmbeddingData(
        embedding=_packed(values) if options.encoding_format == "base64" else "",
        shape=(num_rows, width),
        layer=options.layer,
        pooling=options.pooling,
        frame_timestamps=None if is_pooled else _starts_s(num_rows),
    )


def encode(answer: BaseModel, values: Rows) -> bytes:
    """Return `answer` as JSON, with the numbers of `values` where its outline has none.

    A clip of 20 minutes has 38 million numbers. Written in one go they hold the
    interpreter for seconds, from whatever thread, and nobody else is answered.
    """
    text = answer.model_dump_json().encode()
    head, hole, tail = text.partition(HOLE)
    if not hole:
        return text
    rows = (to_json(values[at : at + ROWS_AT_ONCE].tolist())[1:-1] for at in _starts(values))
    return b"".join([head, HOLE[:-2], b"[", b",".join(rows), b"]", tail])


def _starts(values: Rows) -> range:
    return range(0, len(values), ROWS_AT_ONCE)


def vector(values: Rows, options: EmbeddingOptions) -> list[float] | str:
    """Return a pooled embedding's one row, as numbers or as base64 of little-endian float32."""
    row: list[float] = values[0].tolist()
    return _packed(values) if options.encoding_format == "base64" else row


def npy(values: Rows) -> bytes:
    """Return `values` as a `.npy` file."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def _packed(values: Rows) -> str:
    return pybase64.b64encode_as_string(values.astype("<f4").tobytes())


def _starts_s(num_frames: int) -> list[float]:
    return [round(frame * windows.FRAME_S, 2) for frame in range(num_frames)]
