"""A clip's file in any readable container → mono float32 samples at 16 kHz in another file.

Everything is counted *while* decoding, since a header may say one second and
hold ten hours. Samples leave as they come: a worker's memory does not grow with
the clip.

Runs in a worker process: imports no torch, and a crash here costs one request.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from flamingo_common.audio import windows
from flamingo_common.errors import AudioTooLong, InvalidAudio
from flamingo_pod.audio import reader
from flamingo_pod.audio.memory_file import MemoryFileAddress
from flamingo_pod.audio.reader import Block, Samples

BLOCK_SAMPLES = 65_536
MAX_PCM_BYTES = 4 * 2**30
"""Twenty minutes of eight channels at 96 kHz take 3.7 GB, and nobody has a clip of more."""
MAX_RATE_CHANGES = 16
MAX_PEAK = 100.0
"""Full scale is 1. Integers written as floats (±32768) are a mistake, not loud music."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """How much audio one request may hold."""

    max_seconds: float
    truncate: bool = False
    """Whether what is longer is cut, and not refused."""


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """What was written."""

    num_samples: int
    is_truncated: bool
    header_duration_s: float | None
    """How long the clip's header says the clip is; never trusted, but told."""


def decode_clip(
    source: MemoryFileAddress, target: MemoryFileAddress, bounds: DecodeLimits
) -> DecodeResult:
    """Write the clip to `target` as mono float32 at 16 kHz, the mean of its channels.

    Raises:
        InvalidAudio: not a readable container, damaged, empty, or not finite.
        AudioTooLong: more than `bounds.max_seconds`, and not to be cut.
        MemoryFileClosed: nobody waits for it any more.
    """
    with source.open("rb") as file, target.open("wb") as sink, reader.open_clip(file) as clip:
        limit = int(bounds.max_seconds * windows.SAMPLE_RATE_HZ)
        num_samples, is_truncated = 0, False
        for part in _resampled(_gathered(_bounded(clip.blocks))):
            _check_level(part)
            is_truncated = num_samples + len(part) > limit
            if is_truncated and not bounds.truncate:
                raise AudioTooLong(_too_long(bounds.max_seconds, clip.header_duration_s))
            kept = part[: limit - num_samples]
            _write(sink, kept)
            num_samples += len(kept)
            if is_truncated:
                break
        _check_length(num_samples)
        return DecodeResult(num_samples, is_truncated, clip.header_duration_s)


def _too_long(max_seconds: float, header_duration_s: float | None) -> str:
    says = (
        f" (its header says {header_duration_s:.0f} s)"
        if header_duration_s and header_duration_s > max_seconds
        else ""
    )
    return (
        f"the audio is longer than {max_seconds:g} s{says}; "
        "truncate: true hears the beginning and says how much that is"
    )


def _bounded(blocks: Iterable[Block]) -> Iterator[Block]:
    """Count what the decoder gives out, whatever the header promised."""
    num_pcm_bytes = 0
    for block in blocks:
        num_pcm_bytes += block.num_pcm_bytes
        if num_pcm_bytes > MAX_PCM_BYTES:
            raise InvalidAudio(
                f"the audio decodes to over {MAX_PCM_BYTES} bytes of samples, all channels counted"
            )
        yield block


def _gathered(blocks: Iterable[Block]) -> Iterator[tuple[int, Samples]]:
    """Yield `(rate_hz, samples)` in larger pieces; a codec's own are of 20 ms."""
    rate_hz, parts, num_samples = 0, list[Samples](), 0
    for block in blocks:
        if parts and (num_samples >= BLOCK_SAMPLES or block.rate_hz != rate_hz):
            yield rate_hz, np.concatenate(parts)
            parts, num_samples = [], 0
        rate_hz = block.rate_hz
        parts.append(block.samples)
        num_samples += len(block.samples)
    if parts:
        yield rate_hz, np.concatenate(parts)


def _resampled(pieces: Iterable[tuple[int, Samples]]) -> Iterator[Samples]:
    """Yield the pieces at 16 kHz, each stretch of one rate by a resampler of its own."""
    resampler, now_hz, num_rates = None, 0, 0
    for rate_hz, piece in pieces:
        if rate_hz != now_hz:
            yield from _rest(resampler)
            resampler, now_hz, num_rates = _resampler(rate_hz), rate_hz, num_rates + 1
            if num_rates > MAX_RATE_CHANGES:
                raise InvalidAudio(f"the audio changes its rate over {MAX_RATE_CHANGES} times")
        yield piece if resampler is None else resampler.resample_chunk(piece)
    yield from _rest(resampler)


def _resampler(rate_hz: int) -> Any:
    if rate_hz == windows.SAMPLE_RATE_HZ:
        return None
    return soxr.ResampleStream(rate_hz, windows.SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")


def _rest(resampler: Any) -> Iterator[Samples]:
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _write(sink: io.FileIO, samples: Samples) -> None:
    left = memoryview(samples.tobytes())
    while left:
        left = left[sink.write(left) :]


def _check_level(samples: Samples) -> None:
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        raise InvalidAudio("the audio holds samples that are not finite (NaN or infinity)")
    if peak > MAX_PEAK:
        raise InvalidAudio(f"the audio's peak is {peak:g}; full scale is 1")


def _check_length(num_samples: int) -> None:
    if num_samples < windows.MIN_TAIL_SAMPLES:
        milliseconds = num_samples / windows.SAMPLE_RATE_HZ * 1000
        raise InvalidAudio(f"the audio holds {milliseconds:.1f} ms; one audio token needs 20.1 ms")
