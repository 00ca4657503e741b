"""Files with false headers, incomplete, endless or of other kinds; generated for each run.

Each has its expected outcome for a maximum of 60 s: the seconds that are decoded, or an error's
code and a part of its message.
"""

import functools
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
from clips import synthesise
from fakes import tagged_files

from flamingo_pod.audio import sound_file

MAX_S = 60
RATE_HZ = 22_050
TOO_LONG = ("audio_too_long", "60 s")
NO_FORMAT = ("invalid_audio", "unsupported audio format")
DAMAGED = ("invalid_audio", "damaged or incomplete")


@dataclass(frozen=True)
class File:
    """A file, and its expected outcome."""

    data: bytes
    outcome: float | tuple[str, str]


def sound(seconds: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return (np.sin(2 * np.pi * 440 * time_s) * 0.3).astype(np.float32)


@functools.cache
def made(kind: str, seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """Return a tone in one of the bench's formats."""
    if kind in {"opus", "webm"}:
        rate_hz = 48_000
    return sound_file.encode_file(np.stack([sound(seconds, rate_hz)] * 2), rate_hz, kind)


def wav(
    rate_hz: int, channels: int, data: bytes, *, claimed: int | None = None, bits: int = 16
) -> bytes:
    frame = channels * bits // 8 & 0xFFFF
    byte_rate = rate_hz * frame & 0xFFFFFFFF
    fmt = struct.pack("<HHIIHH", 1, channels, rate_hz, byte_rate, frame, 16)
    size = len(data) if claimed is None else claimed
    chunks = b"fmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", min(4 + len(chunks), 2**32 - 1)) + b"WAVE" + chunks


def pcm(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    return (sound(seconds, rate_hz) * 32767).astype("<i2").tobytes()


def floats(samples) -> bytes:
    return synthesise.encoded(np.asarray(samples, np.float32), 16_000, "WAV", "FLOAT")


def flac_claiming(data: bytes, *, total: int | None = None, rate_hz: int | None = None) -> bytes:
    """Change what a FLAC's header says: 20 bits of rate, 36 bits of length."""
    packed = int.from_bytes(data[18:26], "big")
    if total is not None:
        packed = packed >> 36 << 36 | total
    if rate_hz is not None:
        packed = packed & ~(0xFFFFF << 44) | rate_hz << 44
    return data[:18] + packed.to_bytes(8, "big") + data[26:]


def xing_claiming(data: bytes, num_frames: int) -> bytes:
    at = max(data.find(b"Xing"), data.find(b"Info"))
    assert at > 0
    return data[: at + 8] + struct.pack(">I", num_frames) + data[at + 12 :]


def ogg_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def ogg_claiming(data: bytes, granule: int) -> bytes:
    """Change where the last page says that the stream ends."""
    at = data.rfind(b"OggS")
    page = data[at : at + 6] + struct.pack("<q", granule) + data[at + 14 : at + 22]
    rest = data[at + 26 :]
    return data[:at] + page + struct.pack("<I", ogg_crc(page + bytes(4) + rest)) + rest


def id3(*frames: bytes, claimed: int | None = None) -> bytes:
    body = b"".join(frames)
    size = len(body) if claimed is None else claimed
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + digits + body


def id3_frame(name: bytes, body: bytes, flags: int = 0) -> bytes:
    return name + struct.pack(">IH", len(body), flags) + body


def film(container: str, *, sounds: int = 1) -> bytes:
    """Return two seconds of black pictures, with so many audio tracks of a second each."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        video = output.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        tracks = [output.add_stream("aac", rate=RATE_HZ) for _ in range(sounds)]
        for track in tracks:
            track.layout = "mono"
        for _ in range(20):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            output.mux(video.encode(picture))
        for number, track in enumerate(tracks):
            frame = av.AudioFrame.from_ndarray(
                sound(1 + number)[None], format="fltp", layout="mono"
            )
            frame.sample_rate = RATE_HZ
            output.mux(track.encode(frame))
            output.mux(track.encode(None))
        output.mux(video.encode(None))
    return file.getvalue()


def silence(hours: float) -> bytes:
    return synthesise.encoded(np.zeros(int(hours * 3600 * 8000), np.int16), 8_000, "FLAC")


MAGIC = {
    "flac": b"fLaC",
    "ogg": b"OggS",
    "wav": b"RIFF\xff\xff\xff\xffWAVE",
    "aiff": b"FORM\0\0\xff\xffAIFF",
    "mp4": b"\0\0\0\x20ftypM4A ",
    "matroska": b"\x1aE\xdf\xa3",
    "mp3": b"ID3\x04\0\0\0\0\0\0",
    "aac": b"\xff\xf1\x50\x80",
}
BAD = ("invalid_audio", "")
"""Rejected, with any message."""


def false_headers() -> dict[str, File]:
    """Headers with a false duration. Only what is decoded counts."""
    return {
        "flac: claims 1 s, has 20": File(flac_claiming(made("flac", 20), total=RATE_HZ), 20),
        "flac: claims 1 s, has 90": File(flac_claiming(made("flac", 90), total=RATE_HZ), TOO_LONG),
        "flac: claims no duration": File(flac_claiming(made("flac", 20), total=0), 20),
        "flac: claims a month": File(flac_claiming(made("flac", 2), total=2**36 - 1), 2),
        "mp3: claims 1 s, has 20": File(xing_claiming(made("mp3", 20), 38), 20),
        "mp3: claims 1 s, has 90": File(xing_claiming(made("mp3", 90), 38), TOO_LONG),
        "mp3: claims a month": File(xing_claiming(made("mp3", 2), 10**8), 2),
        "ogg: claims 1 s, has 20": File(ogg_claiming(made("vorbis", 20), RATE_HZ), 20),
        "ogg: claims 1 s, has 90": File(ogg_claiming(made("vorbis", 90), RATE_HZ), TOO_LONG),
        "ogg: claims 100 hours": File(ogg_claiming(made("vorbis", 2), 360_000 * RATE_HZ), 2),
        "opus: claims 1 s, has 20": File(ogg_claiming(made("opus", 20), 48_000), 20),
        "opus: claims 1 s, has 90": File(ogg_claiming(made("opus", 90), 48_000), TOO_LONG),
        "opus: claims 100 hours": File(ogg_claiming(made("opus", 2), 360_000 * 48_000), 2),
        "wav: streamed, of unknown length": File(wav(RATE_HZ, 1, pcm(2), claimed=2**32 - 1), 2),
        "wav: claims more than there is": File(wav(RATE_HZ, 1, pcm(2), claimed=10**9), 2),
        "wav: streamed, and too long": File(
            wav(8_000, 1, bytes(16_000 * 61), claimed=2**32 - 1), TOO_LONG
        ),
        "wav: a header only": File(
            wav(RATE_HZ, 1, b"", claimed=10**6), ("invalid_audio", "0.0 ms")
        ),
    }


def shapes() -> dict[str, File]:
    """Rates and channel counts."""
    rate = ("invalid_audio", "Hz; supported: 4000 to 384000 Hz")
    channels = ("invalid_audio", "channels; supported: 1 to 32")
    very_many = ("invalid_audio", "no channels, or more than 512 channels; supported: 1 to 32")
    return {
        "wav: 1 Hz": File(wav(1, 1, pcm(1)), rate),
        "wav: 2^31 - 1 Hz": File(wav(2**31 - 1, 1, pcm(1)), rate),
        "wav: 0 Hz": File(wav(0, 1, pcm(1)), BAD),
        "wav: 44,101 Hz": File(wav(44_101, 1, pcm(1, 44_101)), 1),
        "wav: 192,001 Hz": File(wav(192_001, 1, pcm(1, 192_001)), 1),
        # Each frame of a FLAC has its own rate, which is the one used.
        "flac: its header claims 655,350 Hz": File(
            flac_claiming(made("flac", 2), rate_hz=655_350), 2
        ),
        "wav: 64 channels": File(wav(16_000, 64, bytes(128_000)), channels),
        "wav: 5,000 channels": File(wav(16_000, 5000, bytes(100_000)), very_many),
        "wav: no channel": File(wav(16_000, 0, bytes(32_000)), BAD),
        "wav: 32 channels": File(wav(16_000, 32, bytes(16_000 * 64)), 1),
        "ogg: two streams of two rates": File(made("vorbis", 1) + made("vorbis", 1, 44_100), 2),
    }


def floods() -> dict[str, File]:
    """Much audio, or many tags, in a small file."""
    return {
        "flac: two hours of silence": File(silence(2), TOO_LONG),
        "mp3: two minutes, file after file": File(made("mp3", 10) * 12, TOO_LONG),
        "aac: two minutes": File(made("aac", 10) * 12, TOO_LONG),
        "ogg: two minutes of streams in a chain": File(made("vorbis", 10) * 12, TOO_LONG),
        "opus: two minutes of streams in a chain": File(made("opus", 10) * 12, TOO_LONG),
        "ogg: two streams in a chain": File(made("vorbis", 2) * 2, 4),
        "mp3: two files in one": File(made("mp3", 2) * 2, 4),
        "tags that claim 200 MB": File(id3(claimed=2**27) + made("mp3", 2), 2),
        "tags without end": File(
            id3(*[id3_frame(b"TXXX", b"\0a\0b")] * 50_000) + made("mp3", 2), 2
        ),
        "a tag that unpacks to 100 MB": File(
            id3(id3_frame(b"TIT2", struct.pack(">I", 10**8) + zlib.compress(bytes(10**8)), 0x80))
            + made("mp3", 2),
            2,
        ),
        "ten tags before a flac": File(id3(bytes(100)) * 3 + made("flac", 2), 2),
    }


def mixtures() -> dict[str, File]:
    """Audio with other content in the file."""
    picture = id3_frame(b"APIC", b"\0image/png\0\x03\0\x89PNG\r\n\x1a\n" + bytes(500_000))
    noise = np.random.default_rng(1).bytes(3_000)
    other_tags = b"APETAGEX" + bytes(200) + b"TAG" + bytes(125)
    no_sound = ("invalid_audio", "no audio stream")
    return {
        "mp3: a cover of half a megabyte": File(id3(picture) + made("mp3", 2), 2),
        "mp3: other tags at its end": File(made("mp3", 2) + other_tags, 2),
        "mp3: noise before the first frame": File(id3() + noise + made("mp3", 2), 2),
        "mp3: noise between frames": File(made("mp3", 2) + noise + made("mp3", 2), 4),
        "mp4: a film": File(film("mp4"), 1),
        "matroska: a film": File(film("matroska"), 1),
        "matroska: three audio tracks": File(film("matroska", sounds=3), 1),
        "mp4: a film without sound": File(film("mp4", sounds=0), no_sound),
    }


def libraries() -> dict[str, File]:
    """Files of real music libraries, which players play."""
    cover = tagged_files.jpeg(2_000)
    plain = wav(RATE_HZ, 1, pcm(2))
    sizes = struct.pack("<QQQI", len(plain) + 28, 2 * RATE_HZ * 2, 2 * RATE_HZ, 0)
    ds64 = b"ds64" + struct.pack("<I", len(sizes)) + sizes
    data = plain[36:40] + b"\xff" * 4 + plain[44:]
    frames = made("mp3", 2)[made("mp3", 2).index(b"\xff\xf3") :]
    return {
        "flac: forty pictures": File(tagged_files.flac([cover] * 40), 2),
        "flac: a thousand pictures": File(tagged_files.flac([cover] * 1000), 2),
        "m4a: a thousand pictures": File(tagged_files.m4a([cover] * 1000), 2),
        "wav: BW64": File(b"BW64" + b"\xff" * 4 + b"WAVE" + ds64 + plain[12:36] + data, 2),
        "wav: an ID3 tag before it": File(tagged_files.id3([cover]) + plain, 2),
        "m4a: an ID3 tag before it": File(tagged_files.id3([cover]) + made("m4a", 2), 2),
        "mp3: zeros before the first frame": File(bytes(4096) + frames, 2),
        "mp3: half a frame before the first": File(frames[100:150] + frames, 2),
        "wma": File(tagged_files.encoded("asf", "wmav2"), 2),
        "wavpack": File(tagged_files.encoded("wv", "wavpack"), 2),
        "caf": File(tagged_files.encoded("caf", "alac"), 2),
        "ogg: a chain of two codecs": File(made("vorbis", 1) + made("opus", 1), 2),
        "wav: AC-3 in it": File(
            tagged_files.encoded("wav", "ac3"), ("invalid_audio", "AC-3 (Dolby Digital)")
        ),
    }


def not_audio() -> dict[str, File]:
    """What is not audio, or not in a supported format."""
    full_scale = ("invalid_audio", "full scale is 1")
    wild = np.random.default_rng(2).bytes(4_000)
    files = {
        "nothing": (b"", ("invalid_audio", "empty")),
        "one byte": (b"\xff", NO_FORMAT),
        "text": (b"this is not audio", NO_FORMAT),
        "a playlist": (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\nhttp://127.0.0.1/x.ts\n", NO_FORMAT),
        "a playlist behind a tag": (
            id3() + b"#EXTM3U\nfile:///etc/passwd\n",
            BAD,
        ),
        "a concat script": (b"ffconcat version 1.0\nfile /etc/passwd\n", NO_FORMAT),
        "a filter graph": (b"sine=frequency=1000:duration=2", NO_FORMAT),
        "a session description": (b"v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n", NO_FORMAT),
        "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), NO_FORMAT),
        "an archive": (b"PK\x03\x04" + bytes(100), NO_FORMAT),
        "IAMF": (b"\xf8\x06iamf\x00\x00" + bytes(100), NO_FORMAT),
        "not a number": (floats([0.1, np.nan] * 8000), ("invalid_audio", "not finite")),
        "infinity": (floats([0.1, -np.inf] * 8000), ("invalid_audio", "not finite")),
        "integers as floats": (floats([20_000, -20_000] * 8000), full_scale),
        "20 ms": (floats(sound(0.02, 16_000)), ("invalid_audio", "20.0 ms")),
    }
    for name, magic in MAGIC.items():
        files[f"wild bytes called {name}"] = (magic + wild, BAD)
    return {name: File(*file) for name, file in files.items()}


GROUPS: list[Callable[[], dict[str, File]]] = [
    false_headers,
    shapes,
    floods,
    mixtures,
    libraries,
    not_audio,
]


@functools.cache
def files() -> dict[str, File]:
    """Return every file by its name."""
    return {name: file for group in GROUPS for name, file in group().items()}
