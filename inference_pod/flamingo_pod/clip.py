"""From a request's audio to what the engine can work with."""

import time
from dataclasses import dataclass

from flamingo.audio import windows
from flamingo.wire.requests import AudioInput
from flamingo_pod import media
from flamingo_pod.model.encoder import EncodedAudio, Samples
from flamingo_pod.pod import Pod, Served


@dataclass(frozen=True, slots=True)
class Clip:
    """Decoded audio: mono 16 kHz float32."""

    samples: Samples

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return len(self.samples) / windows.SAMPLE_RATE_HZ

    @property
    def num_windows(self) -> int:
        """How many windows the encoder will see."""
        return len(windows.spans(len(self.samples)))

    @property
    def num_tokens(self) -> int:
        """How many audio tokens the prompt will have."""
        return windows.num_tokens(len(self.samples))


async def read(pod: Pod, served: Served, audio: AudioInput | bytes) -> Clip:
    """Return the decoded clip.

    Raises:
        InvalidAudio, AudioTooLong, MediaFetchFailed: see `media` and `audio.decode`.
    """
    data = await media.clip_bytes(audio, pod.fetcher)
    started_s = time.monotonic()
    clip = Clip(await pod.decoders.decode(data, served.bounds))
    pod.metrics.decode.observe(time.monotonic() - started_s)
    pod.metrics.clip.observe(clip.seconds)
    pod.metrics.audio_seconds.inc(clip.seconds)
    return clip


async def encode(pod: Pod, served: Served, clip: Clip) -> EncodedAudio:
    """Return the clip's encoder states; each request encodes its clip once."""
    started_s = time.monotonic()
    audio = await served.engine.encode(clip.samples)
    pod.metrics.encode.observe(time.monotonic() - started_s)
    return audio
