"""MPEG audio: MP3 (with ID3 tags and a Xing, Info or VBRI header) and AAC in ADTS frames.

Neither format has a file header. An MP3 encoder can write the number of frames into the
first frame; otherwise it is estimated from the mean frame size and the file size.

Pure.
"""

import struct
from dataclasses import dataclass

from flamingo_common.audio.clip_info import ClipInfo

SEARCH_BYTES = 8192
"""How far after the tags the first frame is searched for."""
MAX_FRAMES = 512
MAX_TAGS = 4
KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By the version bits: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5; 1 is reserved."""
LAYER_3 = 1
MONO = 3
ADTS_RATES_HZ = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
ADTS_HEADER_BYTES = 7
ADTS_SAMPLES = 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """The header of one MP3 frame."""

    is_mpeg1: bool
    rate_hz: int
    is_mono: bool
    num_bytes: int

    @property
    def seconds(self) -> float:
        """Duration of the frame."""
        return (1152 if self.is_mpeg1 else 576) / self.rate_hz

    @property
    def side_info_bytes(self) -> int:
        """Bytes between the frame header and the Xing marker."""
        if self.is_mpeg1:
            return 17 if self.is_mono else 32
        return 9 if self.is_mono else 17


def audio_offset(head: bytes) -> int:
    """Return the offset of the audio, after the ID3v2 tags; it can be past `head`."""
    at = 0
    for _ in range(MAX_TAGS):
        tag = head[at : at + 10]
        if len(tag) < 10 or tag[:3] != b"ID3":  # noqa: PLR2004 - the tag's header
            break
        size = sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0)))  # noqa: B905
        has_footer = tag[5] & 0x10
        at += 10 + size + (10 if has_footer else 0)
    return at


def has_frames(audio: bytes) -> bool:
    """Return whether `audio` has consecutive MP3 frames near its start."""
    return _first_frame(audio, 0) is not None


def parse_mp3(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose MP3 file begins with `head`."""
    start = audio_offset(head)
    first = _first_frame(head, start)
    if first is None:
        return _guess_after_tags(start, total_bytes)
    at, frame = first
    num_frames = _stated_frames(head, at, frame)
    if num_frames:
        return ClipInfo(num_frames * frame.seconds, "exact", "mp3")
    if total_bytes is None:
        return None
    seconds_per_byte = frame.seconds / _mean_frame_bytes(head, at)
    return ClipInfo((total_bytes - at) * seconds_per_byte, "estimate", "mp3")


def _guess_after_tags(start: int, total_bytes: int | None) -> ClipInfo | None:
    """Return a guess where the tags (cover art) exceed the head: the rest, at 160 kbit/s."""
    if total_bytes is None or start >= total_bytes:
        return None
    return ClipInfo((total_bytes - start) / 20_000, "bytes", "mp3")


def _first_frame(head: bytes, start: int) -> tuple[int, Frame] | None:
    """Return offset and header of the first frame that another one (or the end) follows."""
    at, stop = start, min(len(head) - 4, start + SEARCH_BYTES)
    while (at := head.find(b"\xff", at, max(stop, 0))) >= 0:
        frame = _frame(head, at)
        if frame is not None and _is_followed(head, at, frame):
            return at, frame
        at += 1
    return None


def _is_followed(head: bytes, at: int, frame: Frame) -> bool:
    following = at + frame.num_bytes
    if following + 4 > len(head):
        return at == 0 or head[:3] == b"ID3"  # too short a head to check the next frame
    other = _frame(head, following)
    return other is not None and other.rate_hz == frame.rate_hz


def _frame(head: bytes, at: int) -> Frame | None:
    """Return the 4-byte MP3 frame header at `at`; None if there is no valid one."""
    sync, kind, rates, mode = head[at : at + 4]
    version, layer = kind >> 3 & 3, kind >> 1 & 3
    rate_at, kbit_at, padding = rates >> 2 & 3, rates >> 4, rates >> 1 & 1
    if sync != 0xFF or kind < 0xE0 or version not in RATES_HZ or layer != LAYER_3:  # noqa: PLR2004 - eleven sync bits
        return None
    if rate_at == 3 or kbit_at in (0, 15):  # noqa: PLR2004 - reserved, free format, forbidden
        return None
    is_mpeg1, rate_hz = version == 3, RATES_HZ[version][rate_at]  # noqa: PLR2004 - see RATES_HZ
    kbits = (KBITS_1 if is_mpeg1 else KBITS_2)[kbit_at]
    num_bytes = (144 if is_mpeg1 else 72) * kbits * 1000 // rate_hz + padding
    return Frame(is_mpeg1, rate_hz, mode >> 6 == MONO, num_bytes)


def _stated_frames(head: bytes, at: int, frame: Frame) -> int | None:
    """Return the number of frames that the Xing, Info or VBRI header states."""
    xing = at + 4 + frame.side_info_bytes
    if head[xing : xing + 4] in (b"Xing", b"Info"):
        flags, num_frames = struct.unpack_from(">II", head, xing + 4)
        return int(num_frames) if flags & 1 else None
    if head[at + 36 : at + 40] == b"VBRI":
        return int(struct.unpack_from(">I", head, at + 50)[0])
    return None


def _mean_frame_bytes(head: bytes, at: int) -> float:
    num_frames, start = 0, at
    while num_frames < MAX_FRAMES and at + 4 <= len(head):
        frame = _frame(head, at)
        if frame is None:
            break
        num_frames, at = num_frames + 1, at + frame.num_bytes
    return (at - start) / num_frames


def is_adts(audio: bytes) -> bool:
    """Return whether `audio` starts with an ADTS header (twelve sync bits, layer 0)."""
    return len(audio) >= ADTS_HEADER_BYTES and audio[0] == 0xFF and audio[1] & 0xF6 == 0xF0  # noqa: PLR2004


def parse_adts(head: bytes, total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose ADTS file begins with `head`; None without `total_bytes`."""
    start = at = audio_offset(head)
    num_frames, rate_hz = 0, 0
    while num_frames < MAX_FRAMES and is_adts(head[at : at + ADTS_HEADER_BYTES]):
        rate_at = head[at + 2] >> 2 & 0xF
        size = int.from_bytes(head[at + 3 : at + 6], "big") >> 5 & 0x1FFF
        if size < ADTS_HEADER_BYTES or rate_at >= len(ADTS_RATES_HZ):
            break
        rate_hz = ADTS_RATES_HZ[rate_at]
        num_frames, at = num_frames + 1, at + size
    if total_bytes is None or not num_frames:
        return None
    all_frames = (total_bytes - start) / ((at - start) / num_frames)
    return ClipInfo(all_frames * ADTS_SAMPLES / rate_hz, "estimate", "aac")
