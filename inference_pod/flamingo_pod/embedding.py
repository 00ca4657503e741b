"""Encoder states → an embedding as the client asked for it.

Frame i covers `[i, i + 1) * 40 ms` of the clip; its timestamp is where it starts.
"""

import io

import numpy as np
import pybase64
from numpy.typing import NDArray

from flamingo.audio import windows
from flamingo.wire.requests import EmbeddingOptions
from flamingo.wire.responses import EmbeddingData
from flamingo_pod.engine.account import Account
from flamingo_pod.engine.audio import Audio
from flamingo_pod.pod import Served

Rows = NDArray[np.float32]


async def rows(
    served: Served, audio: Audio, options: EmbeddingOptions, account: Account | None = None
) -> Rows:
    """Return float32 `(frames, width)`, or `(1, width)` when pooled."""
    if options.layer == "projector":
        states = await served.engine.project(audio, account)
    else:
        states = await served.engine.encode(audio, account)
    # float32 first: numpy knows no bfloat16.
    values: Rows = states.float().cpu().numpy()
    if options.pooling == "mean":
        values = values.mean(axis=0, keepdims=True)
    return values


def describe(values: Rows, options: EmbeddingOptions) -> EmbeddingData:
    """Return the embedding as numbers or as base64 of little-endian float32."""
    num_rows, width = values.shape
    is_pooled = options.pooling == "mean"
    return EmbeddingData(
        embedding=_packed(values) if options.encoding_format == "base64" else values.tolist(),
        shape=(num_rows, width),
        layer=options.layer,
        pooling=options.pooling,
        frame_timestamps=None if is_pooled else _starts_s(num_rows),
    )


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
