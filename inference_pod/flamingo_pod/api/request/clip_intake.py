"""Read a request's audio: load its file, decode it and prepare it for the engine.

A clip that was sent is held for a while (`audio/held_clips.py`), and so is what was made of it.
With its id it is not sent again; if it is sent again, it is not decoded again.
"""

import asyncio
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from flamingo_common.audio import windows
from flamingo_common.audio.windows import SAMPLE_RATE_HZ
from flamingo_common.errors import BadRequest
from flamingo_common.wire import AUDIO_HEADER, AUDIO_ID_HEADER
from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.requests import AudioInput
from flamingo_common.wire.responses import AudioReference
from flamingo_pod.api.request import clip_reuse
from flamingo_pod.api.request.clip_reuse import OpenedClip
from flamingo_pod.api.request.request_stats import REQUEST_STATS
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.decoder_pool import DecodedClip
from flamingo_pod.audio.memory_budget import RESERVATION, Reservation
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.engine.encoding.audio import ClipAudio, Samples
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel

TRUNCATED_HEADER = "x-flamingo-truncated-seconds"
MISSING_HEADER = "x-flamingo-audio-missing-seconds"


@dataclass(frozen=True, slots=True)
class ClipLength:
    """How much of a clip is processed, and how much was truncated."""

    num_tokens: int
    """Audio tokens in the prompt."""
    seconds: float
    """Duration of the part that is processed."""
    is_truncated: bool = False
    truncated_s: float | None = None
    """Duration of the rest according to the file's header; None if that is not credible."""
    missing_s: float = 0.0
    """Seconds that the file has lost: silence, or after the end."""
    start_s: float = 0.0
    """Where the part begins in the clip."""


@dataclass(frozen=True, slots=True)
class OriginalClip:
    """The file that a clip was decoded from, open until the request ends, or it is freed before."""

    file: MemoryFile
    reservation: Reservation
    """The request's, which owns the file."""
    limits: DecodeLimits
    opened: OpenedClip
    how: Hashable
    """By which what was made of it is held."""


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """A decoded clip, split into windows."""

    audio: ClipAudio
    length: ClipLength
    num_bytes: int = 0
    """The size of its samples."""
    samples: Samples | None = None
    """Of which its parts can be made."""
    id: str | None = None
    """By which it can be used again; None: it is not held."""
    original: OriginalClip | None = None
    """What it was decoded from, if the request needs that."""

    @property
    def is_affected_by_options(self) -> bool:
        """Whether other options could have given another clip, or an error."""
        return self.length.is_truncated or self.length.missing_s > 0

    def for_another_request(self) -> "PreparedClip":
        """Return the same clip without what belongs to one request."""
        return replace(self, audio=self.audio.for_another_request())

    @property
    def num_windows(self) -> int:
        """Windows for the encoder to process."""
        return len(self.audio.windows)

    @property
    def num_tokens(self) -> int:
        """Audio tokens in the prompt."""
        return self.length.num_tokens

    @property
    def seconds(self) -> float:
        """Duration of the part that is processed."""
        return self.length.seconds


CLIP_IDS = web.RequestKey("clip_ids", list[str])
"""The ids of a request's clips that are held."""
INCOMPLETE_CLIPS = web.RequestKey("incomplete_clips", list[ClipLength])
"""The lengths of a request's clips that are truncated or damaged."""


def audio_usage(lengths: Sequence[ClipLength]) -> dict[str, Any]:
    """Return the fields of a response's usage that are about its clips."""
    truncated = [length.truncated_s for length in lengths if length.is_truncated]
    total_s = sum(seconds for seconds in truncated if seconds is not None)
    is_known = bool(truncated) and None not in truncated
    return {
        "audio_start_seconds": lengths[0].start_s if len(lengths) == 1 else 0.0,
        "audio_seconds": round(sum(length.seconds for length in lengths), 3),
        "audio_truncated": bool(truncated),
        "truncated_seconds": round(total_s, 3) if is_known else None,
        "audio_missing_seconds": round(sum(length.missing_s for length in lengths), 3),
    }


def reference_of(clip: PreparedClip | None) -> AudioReference | None:
    """Return what a response says about its clip, if that is held."""
    return None if clip is None or clip.id is None else AudioReference(id=clip.id)


async def read_clip(
    pod: Pod,
    served: ServedModel,
    request: web.Request,
    audio: AudioInput | MemoryFile,
    options: ClipOptions,
) -> PreparedClip:
    """Return the decoded clip, and free its file.

    Raises:
        ClipNotHeld: it is given by an id that is not held here.
        DeadlineExceeded: the request's deadline passed.
        InvalidAudio: the audio cannot be decoded.
        AudioDamaged: more of it is missing than the request allows.
        AudioTooLong: it is longer than the model's maximum, and not to be truncated.
        MediaFetchFailed: its URL could not be fetched.
        Overloaded: it exceeds the pod's memory budget.
    """
    reservation, caller = request[RESERVATION], served.caller
    limits = replace(
        served.decode_limits,
        truncate=options.truncate,
        allow_damaged=options.allow_damaged,
        start_s=options.start or 0.0,
        end_s=options.end,
    )
    async with caller.enforce_deadline():
        opened = await clip_reuse.open_clip(pod, caller, reservation, audio)
        made_before: PreparedClip | None = opened.find_decoded(limits, is_part=limits.is_part)
        whole: PreparedClip | None = opened.find_decoded(limits) if limits.is_part else None
        if made_before is None and whole is not None and whole.samples is not None:
            decoded = _part_of(whole.samples, limits)
        elif made_before is None:
            decoded = await _decode(pod, request, opened.reserve_file(reservation), limits)
            clip_reuse.hold(pod, caller, reservation, opened, _whole_s(decoded))
    file = _kept_file(reservation, opened) if options.is_measured else None
    num_bytes = decoded.samples.nbytes if made_before is None else made_before.num_bytes
    reservation.replace_file(opened.file, opened.num_reserved, num_bytes)
    if made_before is None:
        _check_part(decoded, limits)
        clip = await _prepare(decoded, caller.salt, limits)
        clip_reuse.hold_decoded(pod, opened, _how(clip, limits), clip, num_bytes)
    else:
        clip = made_before.for_another_request()
    how, original = _how(clip, limits), None
    if file is not None:
        original = OriginalClip(file, reservation, limits, opened, how)
    clip = replace(clip, id=opened.held_id, original=original)
    _record(pod, request, clip)
    return clip


def _how(clip: PreparedClip, limits: DecodeLimits) -> Hashable:
    """Return by which options a clip is held; most clips are the same with any."""
    is_specific = clip.is_affected_by_options or limits.is_part
    return limits if is_specific else clip_reuse.ANY_OPTIONS


def _kept_file(reservation: Reservation, opened: OpenedClip) -> MemoryFile:
    """Return the file, which the request keeps; it counts as the request's memory, too."""
    # Even if it is held: it may be freed there before the request ends.
    reservation.add_unchecked(opened.file.size)
    return reservation.adopt(opened.file.duplicate())


async def _decode(
    pod: Pod, request: web.Request, file: MemoryFile, limits: DecodeLimits
) -> DecodedClip:
    stats, started_s = request[REQUEST_STATS], time.monotonic()
    decoded = await pod.decoders.decode(file, limits)
    decode_s = time.monotonic() - started_s
    stats.audio_decode_started_s = stats.audio_decode_started_s or started_s
    stats.audio_decode_s += decode_s
    pod.metrics.audio_decode.observe(decode_s)
    return decoded


def _part_of(samples: Samples, limits: DecodeLimits) -> DecodedClip:
    """Return a part of a clip that was decoded as a whole, and is not damaged."""
    start, stop = windows.frame_samples(limits.start_s, limits.end_s)
    clip_s = len(samples) / SAMPLE_RATE_HZ
    return DecodedClip(samples[start:stop], False, None, clip_s=clip_s)


def _check_part(decoded: DecodedClip, limits: DecodeLimits) -> None:
    """Check that a part of a clip has audio.

    Raises:
        BadRequest: it begins at the end of the clip, or behind that.
    """
    if limits.is_part and len(decoded.samples) < windows.MIN_TAIL_SAMPLES:
        length = "" if decoded.clip_s is None else f", which is {decoded.clip_s:.2f} s long"
        raise BadRequest(
            f"start: {limits.start_s:g} s is at or beyond the end of the clip{length}",
            param="start",
        )


async def _prepare(decoded: DecodedClip, salt: bytes, limits: DecodeLimits) -> PreparedClip:
    start, _ = windows.frame_samples(limits.start_s, None)
    first_frame = start // windows.SAMPLES_PER_FRAME
    # Off the event loop: hashing 20 minutes takes a fifth of a second.
    audio = await asyncio.to_thread(ClipAudio.from_samples, decoded.samples, salt, first_frame)
    length = _length(decoded, audio)
    return PreparedClip(audio, length, decoded.samples.nbytes, samples=decoded.samples)


def _whole_s(decoded: DecodedClip) -> float:
    """Return the length of the whole file, as far as it is known."""
    if decoded.clip_s is not None:
        return decoded.clip_s
    return max(decoded.header_duration_s or 0.0, len(decoded.samples) / SAMPLE_RATE_HZ)


def _length(decoded: DecodedClip, audio: ClipAudio) -> ClipLength:
    seconds = len(decoded.samples) / SAMPLE_RATE_HZ
    start_s = audio.first_frame * windows.FRAME_S
    rest_s = round((decoded.header_duration_s or 0.0) - start_s - seconds, 3)
    truncated_s = rest_s if decoded.is_truncated and rest_s > 0 else None
    return ClipLength(
        audio.num_tokens,
        seconds,
        decoded.is_truncated,
        truncated_s,
        decoded.missing_s,
        round(start_s, 3),
    )


def _record(pod: Pod, request: web.Request, clip: PreparedClip) -> None:
    """Add the clip to the request's stats and to the pod's metrics."""
    stats = request[REQUEST_STATS]
    stats.audio_s += clip.seconds
    pod.metrics.audio_duration.observe(clip.seconds)
    pod.metrics.audio_seconds.inc(clip.seconds)
    if clip.id is not None:
        request[CLIP_IDS] = [*request.get(CLIP_IDS, []), clip.id]
    if clip.length.is_truncated or clip.length.missing_s:
        request[INCOMPLETE_CLIPS] = [*request.get(INCOMPLETE_CLIPS, []), clip.length]
    if clip.length.missing_s:
        stats.audio_missing_s += clip.length.missing_s
        pod.metrics.audio_missing_seconds.inc(clip.length.missing_s)


async def set_audio_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers with the audio's id and duration, and with how much is cut or missing."""
    if REQUEST_STATS in request and request[REQUEST_STATS].audio_s:
        response.headers[AUDIO_HEADER] = f"{request[REQUEST_STATS].audio_s:.3f}"
    if CLIP_IDS in request:
        response.headers[AUDIO_ID_HEADER] = ",".join(request.get(CLIP_IDS, []))
    usage = audio_usage(request.get(INCOMPLETE_CLIPS, []))
    if usage["audio_truncated"]:
        response.headers[TRUNCATED_HEADER] = str(usage["truncated_seconds"] or "unknown")
    if usage["audio_missing_seconds"]:
        response.headers[MISSING_HEADER] = f"{usage['audio_missing_seconds']:.3f}"
