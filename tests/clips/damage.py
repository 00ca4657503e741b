"""Clips with a click at every whole second, in several formats, and ways to damage them."""

import functools
import io
import tempfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import soundfile

from flamingo_common.audio.windows import SAMPLE_RATE_HZ
from flamingo_pod.audio import decode
from flamingo_pod.audio.decode import DecodeLimits, DecodeResult
from flamingo_pod.audio.memory_file import MemoryFile

SECONDS = 10
RATE_HZ = 44_100
CLICK_SAMPLES = 60
FFMPEG = {
    # container, encoder, options of the container
    "opus": ("ogg", "libopus", {}),
    "ogg-flac": ("ogg", "flac", {}),
    "m4a": ("mp4", "aac", {}),
    "m4a-moov-first": ("mp4", "aac", {"movflags": "faststart"}),
    "alac": ("mp4", "alac", {}),
    "fragmented-mp4": ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "fragments": ("mp4", "aac", {"movflags": "empty_moov", "frag_duration": "500000"}),
    "adts": ("adts", "aac", {}),
    "mp3-cbr": ("mp3", "libmp3lame", {}),
    "webm": ("webm", "libopus", {}),
    "live-webm": ("webm", "libopus", {"live": "1"}),
    "mka": ("matroska", "flac", {}),
    "caf": ("caf", "pcm_s16le", {}),
    "w64": ("w64", "pcm_s16le", {}),
    "au": ("au", "pcm_s16be", {}),
    "wavpack": ("wv", "wavpack", {}),
    "tta": ("tta", "tta", {}),
    "wma": ("asf", "wmav2", {}),
}
SOUNDFILE = {
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "opus-of-libsndfile": {"format": "OGG", "subtype": "OPUS"},
    "mp3-vbr": {"format": "MP3", "bitrate_mode": "VARIABLE", "compression_level": 0.5},
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "rf64": {"format": "RF64", "subtype": "PCM_16"},
    "aiff": {"format": "AIFF", "subtype": "PCM_16"},
}


def sound(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return two notes with a little noise, stereo, and a click at every whole second."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    samples = np.stack([0.2 * np.sin(2 * np.pi * hz * time_s) for hz in (220, 331)])
    samples += np.random.default_rng(1).standard_normal(samples.shape) * 0.01
    for second in range(1, int(seconds)):
        samples[:, second * rate_hz : second * rate_hz + CLICK_SAMPLES] = 0.9
    return samples.astype(np.float32)


@functools.cache
def made(kind: str, seconds: float = SECONDS) -> bytes:
    """Return a clip of one of the kinds."""
    rate_hz = 48_000 if "opus" in kind or "webm" in kind else RATE_HZ
    samples = sound(seconds, rate_hz)
    if kind in SOUNDFILE:
        file = io.BytesIO()
        soundfile.write(file, samples.T, rate_hz, **SOUNDFILE[kind])
        return file.getvalue()
    with tempfile.TemporaryDirectory() as folder:  # "faststart" opens the file a second time
        path = Path(folder) / "clip"
        _write(str(path), samples, rate_hz, *FFMPEG[kind])
        return path.read_bytes()


def _write(target: Any, samples: np.ndarray, rate_hz: int, *how: Any, start_s: float = 0.0) -> None:
    container, encoder, options = how
    with av.open(target, "w", format=container, options=options) as output:
        stream = output.add_stream(encoder, rate=rate_hz)
        stream.layout = "stereo"
        if encoder == "wmav2":
            stream.bit_rate = 128_000
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=rate_hz)
        for start in range(0, samples.shape[1], 2**16):
            chunk = np.ascontiguousarray(samples[:, start : start + 2**16])
            frame = av.AudioFrame.from_ndarray(chunk, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate_hz, start + round(start_s * rate_hz)
            frame.time_base = Fraction(1, rate_hz)
            for part in resampler.resample(frame):
                output.mux(stream.encode(part))
        output.mux(stream.encode(None))


def streamed(kind: str, seconds: float = SECONDS) -> bytes:
    """Return a clip written to where its header could not be completed."""
    rate_hz = 48_000 if "webm" in kind else RATE_HZ
    output = io.BytesIO()
    pipe = SimpleNamespace(write=output.write)
    _write(pipe, sound(seconds, rate_hz), rate_hz, *FFMPEG[kind])
    return output.getvalue()


def starting_late(kind: str, start_s: float) -> bytes:
    """Return a clip whose first timestamp is `start_s`."""
    file = io.BytesIO()
    container, encoder, options = FFMPEG[kind]
    _write(file, sound(SECONDS, 48_000), 48_000, container, encoder, options, start_s=start_s)
    return file.getvalue()


def hole(data: bytes, start: float, share: float, *, seed: int | None = None) -> bytes:
    """Overwrite a share of the file from `start`, also a share, with random bytes or zeros."""
    first, size = int(len(data) * start), int(len(data) * share)
    new = bytes(size) if seed is None else np.random.default_rng(seed).bytes(size)
    return data[:first] + new + data[first + size :]


def decoded(data: bytes, **limits: object) -> tuple[DecodeResult, np.ndarray]:
    """Return the result and the samples of a clip, as a decode worker would."""
    with MemoryFile() as source, MemoryFile() as target:
        source.write(data)
        result = decode.decode_clip(
            source.address, target.address, DecodeLimits(**{"max_seconds": 7200} | limits)
        )
        return result, np.array(target.as_float32())


def clicks_s(samples: np.ndarray) -> list[float]:
    """Return where the clicks are, in seconds at 16 kHz."""
    loud = np.nonzero(np.abs(samples) > 0.55)[0]
    if not len(loud):
        return []
    groups = np.split(loud, np.nonzero(np.diff(loud) > 2000)[0] + 1)
    return [float(group[0]) / SAMPLE_RATE_HZ for group in groups]


def has_click_at(samples: np.ndarray, second: float, within_s: float = 0.05) -> bool:
    """Return whether there is a click near a time."""
    return any(abs(click_s - second) <= within_s for click_s in clicks_s(samples))
