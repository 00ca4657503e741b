"""Read a request's audio: load its file, decode it and prepare it for the engine."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from flamingo_common.audio.windows import SAMPLE_RATE_HZ
from flamingo_common.wire import AUDIO_HEADER
from flamingo_common.wire.clip_options import ClipOptions
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.api.request_stats import REQUEST_STATS
from flamingo_pod.audio import media
from flamingo_pod.audio.decoder_pool import DecodedClip
from flamingo_pod.audio.memory_budget import RESERVATION
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.engine.audio import ClipAudio
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


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """A decoded clip, split into windows."""

    audio: ClipAudio
    length: ClipLength

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


INCOMPLETE_CLIPS = web.RequestKey("incomplete_clips", list[ClipLength])
"""The lengths of a request's clips that are truncated or damaged."""


def audio_usage(lengths: Sequence[ClipLength]) -> dict[str, Any]:
    """Return the fields of a response's usage that are about its clips."""
    truncated = [length.truncated_s for length in lengths if length.is_truncated]
    total_s = sum(seconds for seconds in truncated if seconds is not None)
    is_known = bool(truncated) and None not in truncated
    return {
        "audio_seconds": round(sum(length.seconds for length in lengths), 3),
        "audio_truncated": bool(truncated),
        "truncated_seconds": round(total_s, 3) if is_known else None,
        "audio_missing_seconds": round(sum(length.missing_s for length in lengths), 3),
    }


async def read_clip(
    pod: Pod,
    served: ServedModel,
    request: web.Request,
    audio: AudioInput | MemoryFile,
    options: ClipOptions,
) -> PreparedClip:
    """Return the decoded clip, and free its file.

    Raises:
        DeadlineExceeded: the request's deadline passed.
        InvalidAudio: the audio cannot be decoded.
        AudioDamaged: more of it is missing than the request allows.
        AudioTooLong: it is longer than the model's maximum, and not to be truncated.
        MediaFetchFailed: its URL could not be fetched.
        Overloaded: it exceeds the pod's memory budget.
    """
    reservation = request[RESERVATION]
    limits = replace(
        served.decode_limits, truncate=options.truncate, allow_damaged=options.allow_damaged
    )
    async with served.caller.enforce_deadline():
        file = await media.load_clip_file(audio, pod.fetcher, reservation)
        started_s = time.monotonic()
        decoded = await pod.decoders.decode(file, limits)
    decode_s = time.monotonic() - started_s
    num_reserved = media.reserved_bytes(audio, file)
    reservation.replace_file(file, num_reserved, decoded.samples.nbytes)
    # Off the event loop: hashing 20 minutes takes a fifth of a second.
    clip_audio = await asyncio.to_thread(
        ClipAudio.from_samples, decoded.samples, served.caller.salt
    )
    clip = PreparedClip(clip_audio, _length(decoded, clip_audio))
    _record(pod, request, clip, started_s, decode_s)
    return clip


def _length(decoded: DecodedClip, audio: ClipAudio) -> ClipLength:
    seconds = len(decoded.samples) / SAMPLE_RATE_HZ
    rest_s = round((decoded.header_duration_s or 0.0) - seconds, 3)
    truncated_s = rest_s if decoded.is_truncated and rest_s > 0 else None
    return ClipLength(
        audio.num_tokens, seconds, decoded.is_truncated, truncated_s, decoded.missing_s
    )


def _record(
    pod: Pod, request: web.Request, clip: PreparedClip, started_s: float, decode_s: float
) -> None:
    """Add the clip to the request's stats and to the pod's metrics."""
    stats = request[REQUEST_STATS]
    stats.audio_decode_started_s = stats.audio_decode_started_s or started_s
    stats.audio_decode_s += decode_s
    stats.audio_s += clip.seconds
    pod.metrics.audio_decode.observe(decode_s)
    pod.metrics.audio_duration.observe(clip.seconds)
    pod.metrics.audio_seconds.inc(clip.seconds)
    if clip.length.is_truncated or clip.length.missing_s:
        request[INCOMPLETE_CLIPS] = [*request.get(INCOMPLETE_CLIPS, []), clip.length]
    if clip.length.missing_s:
        stats.audio_missing_s += clip.length.missing_s
        pod.metrics.audio_missing_seconds.inc(clip.length.missing_s)


async def set_audio_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers with the audio's duration, and with how much was truncated or is missing."""
    if REQUEST_STATS in request and request[REQUEST_STATS].audio_s:
        response.headers[AUDIO_HEADER] = f"{request[REQUEST_STATS].audio_s:.3f}"
    usage = audio_usage(request.get(INCOMPLETE_CLIPS, []))
    if usage["audio_truncated"]:
        response.headers[TRUNCATED_HEADER] = str(usage["truncated_seconds"] or "unknown")
    if usage["audio_missing_seconds"]:
        response.headers[MISSING_HEADER] = f"{usage['audio_missing_seconds']:.3f}"
