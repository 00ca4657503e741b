"""Decode a clip into mono samples at 16 kHz; truncate it, or reject it, if it is too long.

Limits are enforced on what is actually decoded, since a header may claim one second and the file
hold ten hours. Samples are written out as they are produced, so a worker's memory does not grow
with the length of the clip.

Runs in a worker process: it imports no torch, and a crash costs one request.
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
"""Twenty minutes of eight channels at 96 kHz take 3.7 GB; real clips take less."""
MAX_RATE_CHANGES = 16
MAX_PEAK = 100.0
"""Full scale is 1. Integers stored as floats (±32768) are a mistake, not loud music."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """How much audio one clip may have."""

    max_seconds: float
    truncate: bool = False
    """Whether a longer clip is truncated instead of rejected."""


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """What was written to the target file."""

    num_samples: int
    is_truncated: bool
    header_duration_s: float | None
    """The clip's duration according to its header; reported, never trusted."""


def decode_clip(
    source: MemoryFileAddress, target: MemoryFileAddress, limits: DecodeLimits
) -> DecodeResult:
    """Write the clip to `target` as mono float32 at 16 kHz, the mean of its channels.

    Raises:
        InvalidAudio: unsupported container, damaged, empty, or not finite.
        AudioTooLong: longer than `limits.max_seconds`, and not to be truncated.
        MemoryFileClosed: the request was cancelled.
    """
    with source.open("rb") as file, target.open("wb") as sink, reader.open_clip(file) as clip:
        max_samples = int(limits.max_seconds * windows.SAMPLE_RATE_HZ)
        num_samples, is_truncated = 0, False
        for chunk in _resampled(_merged(_size_limited(clip.blocks))):
            _check_level(chunk)
            is_truncated = num_samples + len(chunk) > max_samples
            if is_truncated and not limits.truncate:
                raise AudioTooLong(_too_long_message(limits.max_seconds, clip.header_duration_s))
            kept = chunk[: max_samples - num_samples]
            _write(sink, kept)
            num_samples += len(kept)
            if is_truncated:
                break
        _check_length(num_samples)
        return DecodeResult(num_samples, is_truncated, clip.header_duration_s)


def _too_long_message(max_seconds: float, header_duration_s: float | None) -> str:
    is_known = header_duration_s is not None and header_duration_s > max_seconds
    duration = f" ({header_duration_s:.0f} s according to its header)" if is_known else ""
    return (
        f"the audio is longer than the maximum of {max_seconds:g} s{duration};"
        " set truncate to true to process only its beginning"
    )


def _size_limited(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks, counting what the decoder produces, whatever the header states."""
    num_pcm_bytes = 0
    for block in blocks:
        num_pcm_bytes += block.num_pcm_bytes
        if num_pcm_bytes > MAX_PCM_BYTES:
            raise InvalidAudio(
                f"the decoded audio, all channels together, exceeds {MAX_PCM_BYTES} bytes"
            )
        yield block


def _merged(blocks: Iterable[Block]) -> Iterator[tuple[int, Samples]]:
    """Yield `(rate_hz, samples)` in larger chunks; a codec's own are 20 ms long."""
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


def _resampled(chunks: Iterable[tuple[int, Samples]]) -> Iterator[Samples]:
    """Yield the chunks at 16 kHz, with a new resampler for each change of rate."""
    resampler, current_hz, num_rates = None, 0, 0
    for rate_hz, chunk in chunks:
        if rate_hz != current_hz:
            yield from _flush(resampler)
            resampler, current_hz, num_rates = _resampler(rate_hz), rate_hz, num_rates + 1
            if num_rates > MAX_RATE_CHANGES:
                raise InvalidAudio(
                    f"the audio changes its sample rate more than {MAX_RATE_CHANGES} times"
                )
        yield chunk if resampler is None else resampler.resample_chunk(chunk)
    yield from _flush(resampler)


def _resampler(rate_hz: int) -> Any:
    if rate_hz == windows.SAMPLE_RATE_HZ:
        return None
    return soxr.ResampleStream(rate_hz, windows.SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")


def _flush(resampler: Any) -> Iterator[Samples]:
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _write(sink: io.FileIO, samples: Samples) -> None:
    remaining = memoryview(samples.tobytes())
    while remaining:
        remaining = remaining[sink.write(remaining) :]


def _check_level(samples: Samples) -> None:
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(peak):
        raise InvalidAudio("the audio has samples that are not finite (NaN or infinity)")
    if peak > MAX_PEAK:
        raise InvalidAudio(
            f"the audio's peak is {peak:g}, but full scale is 1; were integers stored as floats?"
        )


def _check_length(num_samples: int) -> None:
    if num_samples < windows.MIN_TAIL_SAMPLES:
        milliseconds = num_samples / windows.SAMPLE_RATE_HZ * 1000
        raise InvalidAudio(
            f"the audio is {milliseconds:.1f} ms long; the minimum is 20.1 ms, one audio token"
        )
