"""Check that each audio format can be decoded, with a short clip generated for the check."""

import importlib
from collections.abc import Iterator

import numpy as np

from flamingo_common.errors import FlamingoError
from flamingo_common.service import extras
from flamingo_common.service.checks import Check, failed, ok

RATE_HZ = 48_000


def checks() -> Iterator[Check]:
    """Yield checks of the codec libraries and of the formats they decode."""
    try:
        av, soxr = (importlib.import_module(name) for name in ("av", "soxr"))
    except (ImportError, OSError) as error:
        yield failed("audio", f"a codec library is missing: {error}", extras.advice("pod"))
        return
    version = ".".join(map(str, av.library_versions["libavformat"]))
    yield ok("audio", f"FFmpeg's libavformat {version}, soxr {soxr.__version__}")
    yield _formats()


def _formats() -> Check:
    sound_file = importlib.import_module("flamingo_pod.audio.sound_file")
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (2, RATE_HZ // 2)).astype(np.float32)
    undecoded = []
    for kind in sound_file.FORMATS:
        try:
            sound_file.decode_bytes(sound_file.encode_file(noise, RATE_HZ, kind), max_seconds=10)
        except FlamingoError:
            undecoded.append(kind)
    if undecoded:
        advice = "reinstall av from its wheel, which includes its codecs"
        return failed("formats", f"decoding fails: {', '.join(undecoded)}", advice)
    return ok("formats", ", ".join(sound_file.FORMATS))
