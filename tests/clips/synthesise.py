"""Make the test clips: a few notes and a drum pattern, in every container served.

    python tests/clips/synthesise.py

writes them beside this file. They are in the repository; run it to add a format.
"""

import io
from pathlib import Path

import av
import numpy as np
import soundfile

FOLDER = Path(__file__).parent
RATE_HZ = 44_100


def tone(frequency_hz: float, seconds: float, rate_hz: int) -> np.ndarray:
    """Return a plucked note: three harmonics that fade."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    waves = [np.sin(2 * np.pi * frequency_hz * n * time_s) / n for n in (1, 2, 3)]
    return (sum(waves) * np.exp(-4 * time_s)).astype(np.float32) * 0.3


def notes(rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return an arpeggio in A minor, stereo, 1.5 s."""
    played = [tone(hz, 0.25, rate_hz) for hz in (220.0, 261.6, 329.6, 440.0, 329.6, 261.6)]
    left = np.concatenate(played)
    return np.stack([left, np.roll(left, rate_hz // 50)], axis=1)


def drums(rate_hz: int = RATE_HZ) -> np.ndarray:
    """Return kick and snare in eighths, mono, 1 s."""
    random = np.random.default_rng(7)
    time_s = np.arange(rate_hz // 8) / rate_hz
    kick = np.sin(2 * np.pi * 60 * time_s) * np.exp(-20 * time_s)
    snare = random.standard_normal(len(time_s)) * np.exp(-30 * time_s) * 0.4
    rest = np.zeros(len(time_s))
    return (np.concatenate([kick, rest, snare, rest] * 2) * 0.5).astype(np.float32)


def encoded(samples: np.ndarray, rate_hz: int, container: str, codec: str | None = None) -> bytes:
    """Return `samples` in one of libsndfile's containers."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format=container, subtype=codec)
    return file.getvalue()


def m4a(samples: np.ndarray, rate_hz: int) -> bytes:
    """Return `samples` as AAC in MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=rate_hz)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.astype(np.float32)), format="fltp", layout="stereo"
        )
        frame.sample_rate = rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def clips() -> dict[str, bytes]:
    """Return every clip by its file name."""
    surround = np.stack([drums(22_050) * gain for gain in (1, 0.8, 0.6, 0.4, 0.2, 0.1)], axis=1)
    return {
        "notes.wav": encoded(notes(), RATE_HZ, "WAV", "PCM_16"),
        "notes.flac": encoded(notes(), RATE_HZ, "FLAC"),
        "notes.mp3": encoded(notes(), RATE_HZ, "MP3"),
        "notes.ogg": encoded(notes(), RATE_HZ, "OGG", "VORBIS"),
        "notes.opus": encoded(notes(48_000), 48_000, "OGG", "OPUS"),
        "notes.m4a": m4a(notes(), RATE_HZ),
        "drums.wav": encoded(drums(8_000), 8_000, "WAV", "FLOAT"),
        "drums-5.1.flac": encoded(surround, 22_050, "FLAC"),
    }


if __name__ == "__main__":
    for name, data in clips().items():
        (FOLDER / name).write_bytes(data)
