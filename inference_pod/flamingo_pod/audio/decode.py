"""Decode a clip into mono samples at 16 kHz; truncate it, or reject it, if it is too long.

Limits are enforced on what is actually decoded, since a header may claim one second and the file
hold ten hours. Samples are written out as they are produced, so a worker's memory does not grow
with the length of the clip.

Runs in a worker process: it imports no torch, and a crash costs one request.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from flamingo_common.audio import windows
from flamingo_common.errors import AudioDamaged, AudioTooLong, InvalidAudio
from flamingo_pod.audio import reader
from flamingo_pod.audio.blocks import Block
from flamingo_pod.audio.damage.missing_audio import MissingAudio
from flamingo_pod.audio.downmix import Samples
from flamingo_pod.audio.memory_file import MemoryFileAddress
from flamingo_pod.audio.reader import OpenClip

BLOCK_SAMPLES = 65_536
MAX_PEAK = 100.0
"""Full scale is 1. Integers stored as floats (±32768) are a mistake, not loud music."""
MAX_PCM_BYTES = 4 * 2**30
"""Twenty minutes of eight channels at 96 kHz take 3.7 GB; real clips take less."""
MAX_RATE_CHANGES = 16


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """How much audio one clip may have."""

    max_seconds: float
    truncate: bool = False
    """Whether a longer clip is truncated instead of rejected."""
    allow_damaged: bool | None = None
    """Whether a clip with missing audio is processed; None: if little of it is missing."""
    start_s: float = 0.0
    """Where the part of the clip begins that is decoded, on the clock of the whole clip."""
    end_s: float | None = None
    """Where it ends; None: at the end of the clip."""

    @property
    def is_part(self) -> bool:
        """Whether it is not simply the whole clip."""
        return self.start_s > 0 or self.end_s is not None

    @property
    def last_s(self) -> float:
        """Where decoding ends at the latest."""
        last_s = self.start_s + self.max_seconds
        return last_s if self.end_s is None else min(last_s, self.end_s)


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """What was written to the target file."""

    num_samples: int
    is_truncated: bool
    header_duration_s: float | None
    """The clip's duration according to its header; reported, never trusted."""
    missing_s: float = 0.0
    """Seconds that are missing inside the clip, where there is silence, or at its end."""
    clip_s: float | None = None
    """The length of the whole clip, if it was decoded to its end."""


def _ignore(_: Block) -> None:
    """Do nothing with a block."""


def decode_clip(
    source: MemoryFileAddress,
    target: MemoryFileAddress,
    limits: DecodeLimits,
    watch: Callable[[Block], None] = _ignore,
) -> DecodeResult:
    """Write the clip, or a part of it, to `target` as mono float32 at 16 kHz.

    A part is decoded from the beginning of the file, so its samples are those of the whole clip;
    what comes before it is not kept, and what comes after it is not decoded. One that begins
    behind the end of the clip has no samples. `watch` is called with each block of the clip, up to
    where decoding ends or a little further.

    Raises:
        InvalidAudio: unsupported container, damaged, empty, or not finite.
        AudioDamaged: more of it is missing than `limits.allow_damaged` allows.
        AudioTooLong: longer than `limits.max_seconds`, and not to be truncated.
        MemoryFileClosed: the request was cancelled.
    """
    with source.open("rb") as file, target.open("wb") as sink, reader.open_clip(file) as clip:
        _check_header(clip, limits)
        missing = MissingAudio(limits.last_s, limits.start_s)
        groups = _grouped(_size_limited(clip.blocks(), watch))
        chunks = _resampled(_joined(groups, missing, is_lossy=clip.is_lossy))
        num_samples, is_truncated, clip_s = _write_samples(sink, chunks, clip, limits)
        if not limits.is_part:
            _check_length(num_samples)
        if clip_s is not None:
            missing.add_rest(clip.rest(), clip_s, end_s=limits.end_s)
        part_s = num_samples / windows.SAMPLE_RATE_HZ
        if reason := missing.refusal(part_s, allow_damaged=limits.allow_damaged):
            raise AudioDamaged(reason)
        header_s = clip.header_duration_s
        return DecodeResult(num_samples, is_truncated, header_s, missing.total_s, clip_s)


def _write_samples(
    sink: io.FileIO, chunks: Iterable[Samples], clip: OpenClip, limits: DecodeLimits
) -> tuple[int, bool, float | None]:
    """Write the samples, up to the limit or the end of the part.

    Returns their number, whether there were more than the limit, and the length of the clip if its
    end was reached.
    """
    max_samples = int(limits.max_seconds * windows.SAMPLE_RATE_HZ)
    start, stop = windows.frame_samples(limits.start_s, limits.end_s)
    num_samples = position = 0
    for chunk in chunks:
        part = chunk[max(start - position, 0) : None if stop is None else max(stop - position, 0)]
        position += len(chunk)
        _check_level(part)
        is_too_long = num_samples + len(part) > max_samples
        if is_too_long and not limits.truncate:
            raise AudioTooLong(_too_long_message(limits, clip.header_duration_s))
        kept = part[: max_samples - num_samples]
        _write(sink, kept)
        num_samples += len(kept)
        if is_too_long:
            return num_samples, True, None
        if stop is not None and position >= stop:
            return num_samples, False, None
    return num_samples, False, position / windows.SAMPLE_RATE_HZ


def _too_long_message(limits: DecodeLimits, header_duration_s: float | None) -> str:
    max_seconds = limits.max_seconds
    if limits.is_part:
        return (
            f"the part from {limits.start_s:g} s on is longer than the maximum of"
            f" {max_seconds:g} s; set an earlier end, or set truncate to true to process only its"
            " beginning"
        )
    is_known = header_duration_s is not None and header_duration_s > max_seconds
    duration = f" ({header_duration_s:.0f} s according to its header)" if is_known else ""
    return (
        f"the audio is longer than the maximum of {max_seconds:g} s{duration};"
        " set truncate to true to process only its beginning"
    )


def _check_header(clip: OpenClip, limits: DecodeLimits) -> None:
    """Reject a clip that is too large by its header: decoding up to the limit takes 8 s.

    A header may claim any duration, so no more of it is believed than is decoded at most.
    """
    used_s = min(clip.header_duration_s or 0.0, limits.last_s)
    num_bytes = used_s * clip.pcm_bytes_per_s
    if num_bytes > MAX_PCM_BYTES:
        raise InvalidAudio(
            f"the audio, all channels together, has {num_bytes / 2**30:.1f} GiB according to its"
            f" header (limit: {MAX_PCM_BYTES / 2**30:g} GiB); send fewer channels, or a lower"
            " sample rate: the model uses one channel at 16 kHz"
        )


def _size_limited(
    blocks: Iterable[Block], watch: Callable[[Block], None] = _ignore
) -> Iterator[Block]:
    """Yield the blocks, counting what the decoder produces, whatever the header states."""
    num_pcm_bytes = 0
    for block in blocks:
        num_pcm_bytes += block.num_pcm_bytes
        if num_pcm_bytes > MAX_PCM_BYTES:
            raise InvalidAudio(
                f"the decoded audio, all channels together, exceeds {MAX_PCM_BYTES} bytes"
            )
        watch(block)
        yield block


def _grouped(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Yield the blocks in larger groups of one rate; a codec's own are 20 ms long."""
    group, num_samples = list[Block](), 0
    for block in blocks:
        if group and (num_samples >= BLOCK_SAMPLES or block.rate_hz != group[0].rate_hz):
            yield group
            group, num_samples = [], 0
        group.append(block)
        num_samples += len(block.samples)
    if group:
        yield group


def _joined(
    groups: Iterable[Sequence[Block]], missing: MissingAudio, *, is_lossy: bool
) -> Iterator[tuple[int, Samples]]:
    """Yield the rate and the samples of each group, and add the gaps to `missing`.

    A damaged packet of a lossy codec can decode to any numbers; it is silenced, too.
    """
    position_s = 0.0
    for group in groups:
        rate_hz = group[0].rate_hz
        samples = np.concatenate([block.samples for block in group])
        is_wrong = is_lossy and not _is_in_range(samples)
        end = 0
        for block in group:
            start, end = end, end + len(block.samples)
            if block.gap_s:
                missing.add_gap(position_s + start / rate_hz, block.gap_s)
            elif is_wrong and not _is_in_range(block.samples):
                samples[start:end] = 0.0
                missing.add_gap(position_s + start / rate_hz, (end - start) / rate_hz)
        position_s += end / rate_hz
        yield rate_hz, samples


def _is_in_range(samples: Samples) -> bool:
    """Return whether the samples are finite, and none exceeds `MAX_PEAK`."""
    energy = float(np.dot(samples, samples))  # takes a fifth of the time of a maximum
    return energy <= MAX_PEAK**2 or float(np.abs(samples).max()) <= MAX_PEAK


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
