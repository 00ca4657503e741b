"""From a request's audio to what the engine can work with."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from flamingo_common.audio.windows import SAMPLE_RATE_HZ
from flamingo_common.wire import AUDIO_HEADER
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.api.request_stats import REQUEST_STATS
from flamingo_pod.audio import media
from flamingo_pod.audio.decoder_pool import DecodedClip
from flamingo_pod.audio.memory_budget import RESERVATION
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.engine.audio import ClipAudio
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class ClipLength:
    """How much of a clip is heard, and how much is not."""

    num_tokens: int
    """How many audio tokens the prompt will have."""
    seconds: float
    """How long it plays, as far as it is heard."""
    is_truncated: bool = False
    """Whether there was more, which is not heard."""
    truncated_s: float | None = None
    """How much more, by the file's own header, where that says anything credible."""


@dataclass(frozen=True, slots=True)
class PreparedClip:
    """DecodeResult audio, cut into windows."""

    audio: ClipAudio
    length: ClipLength

    @property
    def num_windows(self) -> int:
        """How many windows the encoder will see."""
        return len(self.audio.windows)

    @property
    def num_tokens(self) -> int:
        """How many audio tokens the prompt will have."""
        return self.length.num_tokens

    @property
    def seconds(self) -> float:
        """How long it plays, as far as it is heard."""
        return self.length.seconds


TRUNCATED_CLIPS = web.RequestKey("cut", list[ClipLength])
"""The lengths of a request's clips that were cut."""


def audio_usage(lengths: Sequence[ClipLength]) -> dict[str, Any]:
    """Return what an answer's usage says of what was heard."""
    known_s = [length.truncated_s for length in lengths if length.is_truncated]
    lost_s = sum(truncated_s for truncated_s in known_s if truncated_s is not None)
    return {
        "audio_seconds": round(sum(length.seconds for length in lengths), 3),
        "audio_truncated": bool(known_s),
        "truncated_seconds": round(lost_s, 3) if known_s and None not in known_s else None,
    }


async def read_clip(
    pod: Pod,
    served: ServedModel,
    request: web.Request,
    audio: AudioInput | MemoryFile,
    *,
    truncate: bool = False,
) -> PreparedClip:
    """Return the decoded clip, and let its bytes go.

    Raises:
        DeadlineExceeded: see `Caller`.
        InvalidAudio, AudioTooLong, MediaFetchFailed: see `media` and `audio.decode`.
        Overloaded: see `held`.
    """
    holding = request[RESERVATION]
    async with served.caller.in_time():
        file = await media.clip_file(audio, pod.fetcher, holding)
        started_s = time.monotonic()
        heard = await pod.decoders.decode(file, replace(served.bounds, truncate=truncate))
    decoded_s = time.monotonic() - started_s
    pod.metrics.decode.observe(decoded_s)
    holding.swap(file, media.held_bytes(audio, file), heard.samples.nbytes)
    # Off the event loop: to hash 20 minutes takes a fifth of a second.
    clip = _clip(
        heard, await asyncio.to_thread(ClipAudio.from_samples, heard.samples, served.caller.salt)
    )
    stats = request[REQUEST_STATS]
    stats.audio_decode_started_s = stats.audio_decode_started_s or started_s
    stats.audio_decode_s += decoded_s
    stats.audio_s += clip.seconds
    pod.metrics.clip.observe(clip.seconds)
    pod.metrics.audio_seconds.inc(clip.seconds)
    if clip.length.is_truncated:
        request[TRUNCATED_CLIPS] = [*request.get(TRUNCATED_CLIPS, []), clip.length]
    return clip


def _clip(heard: DecodedClip, audio: ClipAudio) -> PreparedClip:
    seconds = len(heard.samples) / SAMPLE_RATE_HZ
    left_s = round((heard.header_duration_s or 0.0) - seconds, 3)
    truncated_s = left_s if heard.is_truncated and left_s > 0 else None
    return PreparedClip(
        audio, ClipLength(audio.num_tokens, seconds, heard.is_truncated, truncated_s)
    )


async def set_audio_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Say in the answer's headers how much was heard, and that a clip was cut."""
    if REQUEST_STATS in request and request[REQUEST_STATS].audio_s:
        response.headers[AUDIO_HEADER] = f"{request[REQUEST_STATS].audio_s:.3f}"
    if TRUNCATED_CLIPS in request:
        lengths: list[ClipLength] = request[TRUNCATED_CLIPS]
        lost_s = audio_usage(lengths)["truncated_seconds"]
        response.headers["x-flamingo-truncated-seconds"] = str(lost_s or "unknown")
