"""Encode samples as an audio file, and decode one with the pod's own decoder, in this process."""

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
    # FFmpeg's names of container and encoder
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
    """Return `(channels, samples)`, mono or stereo, as a file in one of `FORMATS`."""
    container, encoder = FORMATS[kind]
    layout = "mono" if len(samples) == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(encoder, rate=rate_hz)
        stream.layout = layout
        stream.codec_context.options = {"strict": "experimental"}  # for FFmpeg's Vorbis encoder
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate_hz)
        for start in range(0, samples.shape[1], FRAME_SAMPLES):
            chunk = np.ascontiguousarray(samples[:, start : start + FRAME_SAMPLES])
            for frame in resampler.resample(_frame(chunk, rate_hz, layout)):
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _frame(samples: Samples, rate_hz: int, layout: str) -> Any:
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    return frame


def decode_bytes(data: bytes, max_seconds: float) -> Samples:
    """Return the mono 16 kHz samples of a file, as a decode worker would."""
    with MemoryFile() as source, MemoryFile() as target:
        source.write(data)
        decode.decode_clip(source.address, target.address, DecodeLimits(max_seconds))
        return target.as_float32()
