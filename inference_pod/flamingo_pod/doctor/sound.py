"""Whether clips of each format are really decoded here, by a short one that is made on the spot."""

import importlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from flamingo.errors import FlamingoError
from flamingo.service.checks import Check, bad, good

RATE_HZ = 48_000
SNDFILE = (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None))
FFMPEG = (("mp4", "aac"), ("webm", "libopus"))


def checks() -> Iterator[Check]:
    """Yield what the codec libraries are, and what they read."""
    try:
        soundfile, av = (importlib.import_module(name) for name in ("soundfile", "av"))
    except (ImportError, OSError) as error:
        yield bad(
            "audio", f"a codec library is missing: {error}", "pip install 'flamingo-fleet[pod]'"
        )
        return
    version = ".".join(map(str, av.library_versions["libavformat"]))
    yield good(
        "audio", f"libsndfile {soundfile.__libsndfile_version__}, FFmpeg's libavformat {version}"
    )
    yield _formats(soundfile, av)


def _formats(soundfile: Any, av: Any) -> Check:
    clips = {_name(*kind): _with_sndfile(soundfile, *kind) for kind in SNDFILE}
    clips |= {_name(*kind): _with_ffmpeg(av, *kind) for kind in FFMPEG}
    unread = [name for name, data in clips.items() if not _is_read(data)]
    if unread:
        advice = "reinstall soundfile and av from their wheels, which bring their codecs"
        return bad("formats", f"cannot be decoded: {', '.join(unread)}", advice)
    return good("formats", ", ".join(clips))


def _name(container: str, codec: str | None) -> str:
    if codec is None or codec.startswith("PCM"):
        return container
    return f"{container}/{codec.removeprefix('lib')}".upper()


def _noise() -> Any:
    return np.random.default_rng(0).uniform(-0.1, 0.1, RATE_HZ // 2).astype(np.float32)


def _with_sndfile(soundfile: Any, container: str, codec: str | None) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, _noise(), RATE_HZ, format=container, subtype=codec)
    return sink.getvalue()


def _with_ffmpeg(av: Any, container: str, codec: str) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(_noise()[None], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        resampler = av.AudioResampler(stream.format, "mono", RATE_HZ, stream.frame_size or None)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return sink.getvalue()


def _is_read(data: bytes) -> bool:
    decode = importlib.import_module("flamingo_pod.audio.decode")
    try:
        return bool(len(decode.decode(data, decode.Bounds(max_seconds=10))))
    except FlamingoError:
        return False
