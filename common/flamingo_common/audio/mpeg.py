"""MPEG audio: MP3, MP2 and MP1 (with a Xing, Info or VBRI header) and AAC in ADTS frames.

Neither format has a file header. An MP3 encoder can write the number of frames into the
first frame; otherwise it is estimated from the mean frame size and the file size.

The first frame need not be the first byte: downloads, recordings of streams and tags that
were blanked leave other bytes before it. Eleven bits mark a frame, so a frame is believed
if consistent ones follow it.

Pure.
"""

import re
import struct
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from flamingo_common.audio.clip_info import ClipInfo

SEARCH_BYTES = 64 * 1024
"""How far the first frame is searched for, as FFmpeg does."""
SAMPLE_BYTES = SEARCH_BYTES + 16 * 1024
"""What to search in: after the last offset, there is space for the frames that must follow."""
MAX_CANDIDATES = 1024
NUM_CONSISTENT = 4
"""Frames that must follow one another after other bytes. In 64 KiB of random bytes a header
occurs twelve times; that a second one is consistent with it has a probability of 2^-17."""
NUM_CONSISTENT_AT_START = 2
MAX_FRAMES = 512
KBITS = {
    # by whether it is MPEG-1, and the layer
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By the version bits: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5; 1 is reserved."""
MPEG_1 = 3
MONO = 3
HEADER_BYTES = 4
ADTS_RATES_HZ = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
ADTS_HEADER_BYTES = 7
ADTS_SAMPLES = 1024

Kind = Literal["mp3", "aac"]

_MP3_THIRD_BYTES = bytes(
    byte
    for byte in range(256)
    if 0 < byte >> 4 < 15 and byte >> 2 & 3 != 3  # noqa: PLR2004
)
"""Neither a free bit rate, which FFmpeg does not decode, nor a reserved rate."""
_SYNC = re.compile(
    rb"\xff(?=[\xe2-\xe7\xf2-\xf7\xfa-\xff][%s]|[\xf0\xf1\xf8\xf9])" % re.escape(_MP3_THIRD_BYTES)
)


@dataclass(frozen=True, slots=True)
class Frame:
    """The header of one frame."""

    kind: Kind
    num_bytes: int
    rate_hz: int
    num_samples: int
    version: int
    """All that the frames of one file have in common."""
    side_info_bytes: int = 0
    """Bytes between the header and the Xing marker."""

    @property
    def seconds(self) -> float:
        """Duration of the frame."""
        return self.num_samples / self.rate_hz


def find_frames(audio: bytes) -> tuple[Kind, int] | None:
    """Return kind and offset of the first frame in `audio`; None if it has no frames."""
    for found in islice(_SYNC.finditer(audio, 0, SEARCH_BYTES), MAX_CANDIDATES):
        frame = _frame(audio, found.start())
        if frame is not None and _is_followed(audio, found.start(), frame):
            return frame.kind, found.start()
    return None


def _is_followed(audio: bytes, start: int, frame: Frame) -> bool:
    """Return whether consistent frames follow, up to the end if `audio` is shorter."""
    needed = NUM_CONSISTENT if start else NUM_CONSISTENT_AT_START
    at = start + frame.num_bytes
    for num_found in range(1, needed):
        if at + HEADER_BYTES > len(audio):
            return start == 0 or num_found > 1
        following = _frame(audio, at)
        if following is None or following.version != frame.version:
            return False
        at += following.num_bytes
    return True


def _frame(audio: bytes, at: int) -> Frame | None:
    """Return the frame header at `at`; None if there is no valid one."""
    header = audio[at : at + HEADER_BYTES]
    if len(header) < HEADER_BYTES or header[0] != 0xFF or header[1] < 0xE0:  # noqa: PLR2004 - eleven sync bits
        return None
    if header[1] & 0xF6 == 0xF0:  # noqa: PLR2004 - twelve sync bits, layer 0
        return _adts_frame(audio[at : at + ADTS_HEADER_BYTES])
    return _mp3_frame(header)


def _mp3_frame(header: bytes) -> Frame | None:
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_at, padding, is_mono = header[2] >> 2 & 3, header[2] >> 1 & 1, header[3] >> 6 == MONO
    if version not in RATES_HZ or layer == 4 or header[2] not in _MP3_THIRD_BYTES:  # noqa: PLR2004 - reserved
        return None
    is_mpeg1, rate_hz = version == MPEG_1, RATES_HZ[version][rate_at]
    bits_per_s = KBITS[is_mpeg1, layer][header[2] >> 4] * 1000
    num_samples = 384 if layer == 1 else 1152 if layer == 2 or is_mpeg1 else 576  # noqa: PLR2004
    slot_bytes = 4 if layer == 1 else 1
    num_bytes = (num_samples // 8 * bits_per_s // rate_hz // slot_bytes + padding) * slot_bytes
    side_info_bytes = (17 if is_mono else 32) if is_mpeg1 else (9 if is_mono else 17)
    kind = header[1] & 0xFE | (header[2] & 0xC) << 8
    return Frame("mp3", num_bytes, rate_hz, num_samples, kind, side_info_bytes)


def _adts_frame(header: bytes) -> Frame | None:
    rate_at = header[2] >> 2 & 0xF
    num_bytes = int.from_bytes(header[3:6], "big") >> 5 & 0x1FFF
    if len(header) < ADTS_HEADER_BYTES or rate_at >= len(ADTS_RATES_HZ):
        return None
    if num_bytes <= ADTS_HEADER_BYTES:
        return None
    blocks = (header[6] & 3) + 1
    version = header[1] << 8 | header[2] & 0xFD
    return Frame("aac", num_bytes, ADTS_RATES_HZ[rate_at], ADTS_SAMPLES * blocks, version)


def parse_mp3(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose MP3 file begins with `head`, at its first frame."""
    frame = _frame(head, 0)
    if frame is None:
        return None
    num_frames = _stated_frames(head, frame)
    if num_frames:
        return ClipInfo(num_frames * frame.seconds, "exact", "mp3")
    return _by_mean_frame(head, total_bytes)


def parse_adts(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose ADTS file begins with `head`; None without `total_bytes`."""
    return _by_mean_frame(head, total_bytes)


def _stated_frames(head: bytes, frame: Frame) -> int | None:
    """Return the number of frames that the Xing, Info or VBRI header states."""
    xing = HEADER_BYTES + frame.side_info_bytes
    if head[xing : xing + 4] in (b"Xing", b"Info"):
        flags, num_frames = struct.unpack_from(">II", head, xing + 4)
        return int(num_frames) if flags & 1 else None
    if head[36:40] == b"VBRI":
        return int(struct.unpack_from(">I", head, 50)[0])
    return None


def _by_mean_frame(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    at, seconds, kind = 0, 0.0, "mp3"
    for _ in range(MAX_FRAMES):
        frame = _frame(head, at)
        if frame is None:
            break
        at, seconds, kind = at + frame.num_bytes, seconds + frame.seconds, frame.kind
    if total_bytes is None or not seconds:
        return None
    return ClipInfo(total_bytes * seconds / at, "estimate", kind)
