"""From a request's audio to what the engine can work with."""

import asyncio
import time
from dataclasses import dataclass

from flamingo.audio.windows import SAMPLE_RATE_HZ
from flamingo.wire.requests import AudioInput
from flamingo_pod import media
from flamingo_pod.engine.account import Account
from flamingo_pod.engine.audio import Audio
from flamingo_pod.pod import Pod
from flamingo_pod.served import Served


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded audio, cut into windows."""

    audio: Audio
    seconds: float
    """How long it plays."""

    @property
    def num_windows(self) -> int:
        """How many windows the encoder will see."""
        return len(self.audio.windows)

    @property
    def num_tokens(self) -> int:
        """How many audio tokens the prompt will have."""
        return self.audio.num_tokens


async def read(pod: Pod, served: Served, audio: AudioInput | bytes, account: Account) -> Clip:
    """Return the decoded clip.

    Raises:
        InvalidAudio, AudioTooLong, MediaFetchFailed: see `media` and `audio.decode`.
    """
    data = await media.clip_bytes(audio, pod.fetcher)
    started_s = time.monotonic()
    samples = await pod.decoders.decode(data, served.bounds)
    account.decode_audio_from_s = account.decode_audio_from_s or started_s
    decoded_s = time.monotonic() - started_s
    account.decode_audio_s += decoded_s
    pod.metrics.decode.observe(decoded_s)
    seconds = len(samples) / SAMPLE_RATE_HZ
    account.audio_s += seconds
    pod.metrics.clip.observe(seconds)
    pod.metrics.audio_seconds.inc(seconds)
    # Off the event loop: to hash 20 minutes takes a fifth of a second.
    return Clip(await asyncio.to_thread(Audio.of, samples), seconds)
