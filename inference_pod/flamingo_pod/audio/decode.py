"""Bytes of any readable container → mono float32 samples at 16 kHz.

libsndfile reads first; what it cannot open or finish goes to FFmpeg (PyAV) with
the container forced. Everything is bounded *while* decoding, since a header may
say one second and hold ten hours.

Runs in a worker process: imports no torch, and a crash here costs one request.
"""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from flamingo.audio import windows
from flamingo.errors import AudioTooLong, InvalidAudio
from flamingo_pod.audio import containers

Samples = NDArray[np.float32]

BLOCK_FRAMES = 65_536
MIN_RATE_HZ = 4_000
MAX_RATE_HZ = 384_000
MAX_CHANNELS = 32
MAX_PEAK = 100.0
"""Full scale is 1. Integers written as floats (±32768) are a mistake, not loud music."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much audio one request may hold."""

    max_seconds: float


def decode(data: bytes, bounds: Bounds) -> Samples:
    """Return the clip as mono float32 at 16 kHz, the mean of its channels.

    Raises:
        InvalidAudio: not a readable container, damaged, empty, or not finite.
        AudioTooLong: more than `bounds.max_seconds`; nothing is cut silently.
    """
    container = containers.sniff(data[:16])
    if container is None:
        raise InvalidAudio(
            f"the audio is in no format read here; readable are {containers.READABLE}"
        )
    try:
        samples = _collect(_read_with_sndfile(data), bounds)
    except soundfile.LibsndfileError:
        samples = _decode_with_ffmpeg(data, container, bounds)
    return _checked(samples)


def _decode_with_ffmpeg(data: bytes, container: str, bounds: Bounds) -> Samples:
    try:
        return _collect(_read_with_ffmpeg(data, container), bounds)
    except (av.FFmpegError, UnicodeDecodeError):  # the latter from broken metadata
        # Not the library's text: it may name addresses and paths (CVE-2026-22778).
        raise InvalidAudio(f"the {container} audio is damaged or cut short") from None


@dataclass(frozen=True, slots=True)
class _Stream:
    """An opened clip: its native rate, and mono float32 blocks of it."""

    rate_hz: int
    blocks: Iterator[Samples]


@contextlib.contextmanager
def _read_with_sndfile(data: bytes) -> Iterator[_Stream]:
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        _check_shape(file.samplerate, file.channels)
        blocks = file.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True)
        yield _Stream(file.samplerate, (_downmix(block) for block in blocks))


@contextlib.contextmanager
def _read_with_ffmpeg(data: bytes, container: str) -> Iterator[_Stream]:
    with av.open(io.BytesIO(data), format=container) as file:
        if not file.streams.audio:
            raise InvalidAudio(f"the {container} file holds no audio stream")
        stream = file.streams.audio[0]
        _check_shape(stream.rate, stream.channels)
        to_float = av.AudioResampler(format="fltp")
        frames = (out for frame in file.decode(stream) for out in to_float.resample(frame))
        yield _Stream(stream.rate, (_downmix(frame.to_ndarray().T) for frame in frames))


def _check_shape(rate_hz: int, num_channels: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise InvalidAudio(
            f"the audio's sample rate is {rate_hz} Hz; allowed are {MIN_RATE_HZ} to {MAX_RATE_HZ}"
        )
    if not 1 <= num_channels <= MAX_CHANNELS:
        raise InvalidAudio(
            f"the audio has {num_channels} channels; allowed are 1 to {MAX_CHANNELS}"
        )


def _downmix(block: Samples) -> Samples:
    """Return the mean of the channels of `(frames, channels)`.

    Column by column: numpy's `mean(axis=1)` takes nine times as long.
    """
    total = block[:, 0].copy()
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    return total / np.float32(block.shape[1])


def _collect(opened: contextlib.AbstractContextManager[_Stream], bounds: Bounds) -> Samples:
    """Resample block by block, and stop as soon as there is too much."""
    limit = int(bounds.max_seconds * windows.SAMPLE_RATE_HZ)
    parts: list[Samples] = []
    with opened as stream:
        for part in _resampled(stream):
            parts.append(part)
            limit -= len(part)
            if limit < 0:
                raise AudioTooLong(f"the audio is longer than {bounds.max_seconds:g} s")
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _resampled(stream: _Stream) -> Iterator[Samples]:
    if stream.rate_hz == windows.SAMPLE_RATE_HZ:
        yield from stream.blocks
        return
    resampler: Any = soxr.ResampleStream(
        stream.rate_hz, windows.SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ"
    )
    for block in stream.blocks:
        yield resampler.resample_chunk(block)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _checked(samples: Samples) -> Samples:
    if len(samples) < windows.MIN_TAIL_SAMPLES:
        milliseconds = len(samples) / windows.SAMPLE_RATE_HZ * 1000
        raise InvalidAudio(f"the audio holds {milliseconds:.1f} ms; one audio token needs 20.1 ms")
    peak = float(np.abs(samples).max())
    if not np.isfinite(peak):
        raise InvalidAudio("the audio holds samples that are not finite (NaN or infinity)")
    if peak > MAX_PEAK:
        raise InvalidAudio(f"the audio's peak is {peak:g}; full scale is 1")
    return samples
