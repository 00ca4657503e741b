"""Samples → a file in a format that people upload, and back by the pod's own decoder."""

import io
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from flamingo_pod.audio import decode
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile

Samples = NDArray[np.float32]
FRAME_SAMPLES = 2**16
FORMATS = {
    # FFmpeg's container and encoder
    "wav": ("wav", "pcm_s16le"),
    "aiff": ("aiff", "pcm_s16be"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "vorbis": ("ogg", "vorbis"),
    "opus": ("ogg", "libopus"),
    "m4a": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "webm": ("webm", "libopus"),
}


def encode_file(samples: Samples, rate_hz: int, kind: str) -> bytes:
    """Return `(channels, samples)`, one or two of them, as a file of one of `FORMATS`."""
    container, encoder = FORMATS[kind]
    layout = "mono" if len(samples) == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(encoder, rate=rate_hz)
        stream.layout = layout
        stream.codec_context.options = {"strict": "experimental"}  # FFmpeg's own Vorbis is
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        for start in range(0, samples.shape[1], FRAME_SAMPLES):
            part = np.ascontiguousarray(samples[:, start : start + FRAME_SAMPLES])
            for frame in resampler.resample(_frame(part, rate_hz, layout)):
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _frame(samples: Samples, rate_hz: int, layout: str) -> Any:
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    return frame


def decode_bytes(data: bytes, max_seconds: float) -> Samples:
    """Return what a decoding worker makes of `data`, done in this process."""
    with MemoryFile() as source, MemoryFile() as target:
        source.write(data)
        decode.decode_clip(source.address, target.address, DecodeLimits(max_seconds))
        return target.floats()
