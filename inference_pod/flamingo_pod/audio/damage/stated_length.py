"""How much audio a clip's header states after the last sample that its file holds.

A file whose container states more bytes than there are was cut, as by an interrupted download; then
a tenth of a second counts. Where the bytes are complete, a header that states more is believed only
if a whole second and a twentieth of the clip are missing. Lengths that mean "unknown" say nothing:
those of streams, and of MP3s whose frame count does not go with a byte count.

Pure: `read_at` reads the file.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flamingo_common.audio import asf

ReadAt = Callable[[int, int], bytes]
"""Returns so many bytes at an offset; fewer at the end of the file."""

MIN_CUT_S = 0.1
MIN_UNCUT_S = 1.0
MIN_UNCUT_SHARE = 0.05
MAX_STATED_S = 86_400.0
MIN_UNKNOWN_BYTES = 0x7F00_0000
"""Streaming encoders state the largest size that they can, and some a bit less."""
MAX_CHUNKS = 4096
MAX_FIRST_FRAME_BYTES = 2**16
"""How far after its tag an MP3's first frame, with the counts, is searched for."""
MAX_ASF_HEADER_BYTES = 2**18
MIN_BLANK_SHARE, MIN_BLANK_BYTES = 0.01, 4096
"""Of an MP3, after its last frame."""
MAX_RATIO = 1.25
"""By how much an MP3's bytes and seconds may differ as to how much of it is there."""
SEGMENT = b"\x18\x53\x80\x67"


@dataclass(frozen=True, slots=True)
class AudioBytes:
    """The bytes that hold a clip's audio, as the container states."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StatedLength:
    """What the header of a clip states about its length."""

    container: str
    """FFmpeg's name of the container."""
    file_bytes: int
    extent: AudioBytes | None
    seconds: float | None
    """The duration that FFmpeg reads; for a constant byte rate it is what the file holds."""
    is_damaged: bool = False
    """Whether a part of the file could not be decoded."""

    def rest_s(self, present_s: float) -> float:
        """Return the seconds that are stated after the last sample; 0 if that is not credible."""
        stated_s = self._stated_s(present_s)
        if stated_s is None or not 0 < stated_s <= MAX_STATED_S:
            return 0.0
        is_cut = self.container == "flac" or self.is_cut or self.is_damaged
        least_s = MIN_CUT_S if is_cut else max(MIN_UNCUT_S, MIN_UNCUT_SHARE * stated_s)
        return stated_s - present_s if stated_s - present_s >= least_s else 0.0

    @property
    def is_cut(self) -> bool:
        """Whether the container states more bytes than there are."""
        return self.extent is not None and self.extent.end > self.file_bytes

    def _stated_s(self, present_s: float) -> float | None:
        if self.container in CONSTANT_RATE:
            return present_s / self._share_present if self.extent else self.seconds
        if self.container != "mp3":
            return self.seconds
        if not self.is_cut or self.seconds is None:
            return None
        ratio = self._share_present * self.seconds / max(present_s, MIN_CUT_S)
        return self.seconds if 1 / MAX_RATIO <= ratio <= MAX_RATIO else None

    @property
    def _share_present(self) -> float:
        """The share of the stated bytes that the file holds."""
        assert self.extent is not None
        num_present = max(min(self.file_bytes, self.extent.end) - self.extent.start, 1)
        return num_present / (self.extent.end - self.extent.start)


def mp3_bytes(extent: AudioBytes | None, end: int, num_bytes: int) -> int:
    """Return where an MP3 ends whose last frame ends at `end`: there if much of it follows.

    That much of a file can have been allocated and never written.
    """
    if extent is None or extent.end - end < (extent.end - extent.start) * MIN_BLANK_SHARE:
        return num_bytes
    return min(num_bytes, end) if extent.end - end >= MIN_BLANK_BYTES else num_bytes


def seconds_of_tag(text: str) -> float | None:
    """Return the duration in a tag of a Matroska track, as in `00:03:25.500000000`."""
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)", text)
    if match is None:
        return None
    hours, minutes, seconds = map(float, match.groups())
    return hours * 3600 + minutes * 60 + seconds


def extent_of(container: str, read_at: ReadAt) -> AudioBytes | None:
    """Return the bytes that hold the audio, by FFmpeg's name of the container; None if unknown."""
    find = FINDERS.get(container)
    try:
        return find(read_at, _after_tags(read_at)) if find else None
    except (struct.error, IndexError):  # the file ends in its header
        return None


def _after_tags(read_at: ReadAt) -> int:
    """Return where the container starts, after an ID3 tag."""
    head = read_at(0, 10)
    if head[:3] != b"ID3" or len(head) < 10:  # noqa: PLR2004 - the size of its header
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _riff(read_at: ReadAt, at: int) -> AudioBytes | None:
    long_size = None
    for kind, start, size in _chunks(read_at, at + 12, "<4sI"):
        if kind == b"ds64":
            (long_size,) = struct.unpack("<Q", read_at(start + 8, 8))
        if kind == b"data":
            num_bytes = long_size if size == 2**32 - 1 and long_size else size
            return (
                AudioBytes(start, start + num_bytes) if 0 < num_bytes < MIN_UNKNOWN_BYTES else None
            )
    return None


def _aiff(read_at: ReadAt, at: int) -> AudioBytes | None:
    for kind, start, size in _chunks(read_at, at + 12, ">4sI"):
        if kind == b"SSND":
            return AudioBytes(start, start + size) if 0 < size < MIN_UNKNOWN_BYTES else None
    return None


def _chunks(read_at: ReadAt, at: int, form: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and size of the chunks of a RIFF or AIFF file."""
    for _ in range(MAX_CHUNKS):
        header = read_at(at, 8)
        if len(header) < 8:  # noqa: PLR2004 - the size of a chunk's header
            return
        kind, size = struct.unpack(form, header)
        yield kind, at + 8, size
        at += 8 + size + (size & 1)


def _caf(read_at: ReadAt, at: int) -> AudioBytes | None:
    at += 8
    for _ in range(MAX_CHUNKS):
        kind, size = struct.unpack(">4sq", read_at(at, 12))
        if kind == b"data":
            return AudioBytes(at + 12, at + 12 + size) if size > 0 else None
        at += 12 + size
    return None


def _w64(read_at: ReadAt, at: int) -> AudioBytes | None:
    at += 40
    for _ in range(MAX_CHUNKS):
        name, size = struct.unpack("<16sQ", read_at(at, 24))
        if name[:4] == b"data":
            return AudioBytes(at + 24, at + size) if 24 < size < 2**62 else None  # noqa: PLR2004
        at += -(-size // 8) * 8
    return None


def _au(read_at: ReadAt, at: int) -> AudioBytes | None:
    start, size = struct.unpack(">II", read_at(at + 4, 8))
    return AudioBytes(at + start, at + start + size) if 0 < size < MIN_UNKNOWN_BYTES else None


def seconds_of_asf(read_at: ReadAt) -> float | None:
    """Return the duration of a WMA file; None if its header was not completed at its end."""
    head = read_at(0, MAX_ASF_HEADER_BYTES)
    clip = asf.parse(head, None)
    return clip.seconds if clip and asf.file_bytes(head) else None


def _asf(read_at: ReadAt, at: int) -> AudioBytes | None:
    num_bytes = asf.file_bytes(read_at(at, MAX_ASF_HEADER_BYTES))
    return AudioBytes(at, at + num_bytes) if num_bytes else None


def _mp4(read_at: ReadAt, at: int) -> AudioBytes | None:
    """Return where the last box ends; those before it are complete."""
    end = at
    for _ in range(MAX_CHUNKS):
        header = read_at(end, 16)
        if len(header) < 8:  # noqa: PLR2004 - the size of a box's header
            break
        if not header[4:8].isalnum():  # it is damaged, and its size means nothing
            break
        (size,) = struct.unpack_from(">I", header)
        if size == 1:
            (size,) = struct.unpack_from(">Q", header, 8)
        if size < 8:  # noqa: PLR2004 - 0: to the end of the file
            break
        end += size
    return AudioBytes(at, end)


def _matroska(read_at: ReadAt, at: int) -> AudioBytes | None:
    head = read_at(at, 4096)
    found = head.find(SEGMENT)
    if found < 0:
        return None
    num_bytes = 9 - head[found + 4].bit_length()
    digits = head[found + 4 : found + 4 + num_bytes]
    size = int.from_bytes(digits, "big") & ~(1 << 7 * num_bytes)
    start = at + found + 4 + num_bytes
    return None if size == (1 << 7 * num_bytes) - 1 else AudioBytes(start, start + size)


def _mp3(read_at: ReadAt, at: int) -> AudioBytes | None:
    """Return the bytes that the Xing, Info or VBRI header counts."""
    head = read_at(at, MAX_FIRST_FRAME_BYTES)
    for name in (b"Xing", b"Info"):
        found = head.find(name)
        if found < 0:
            continue
        flags, _, num_bytes = struct.unpack_from(">III", head, found + 4)
        start = at + _frame_start(head, found)
        return AudioBytes(start, start + num_bytes) if flags & 3 == 3 and num_bytes else None  # noqa: PLR2004
    found = head.find(b"VBRI")
    if found < 0:
        return None
    (num_bytes,) = struct.unpack_from(">I", head, found + 10)
    start = at + _frame_start(head, found)
    return AudioBytes(start, start + num_bytes) if num_bytes else None


def _frame_start(head: bytes, marker: int) -> int:
    """Return where the frame that holds `marker` begins: 13 to 36 bytes before it."""
    return max(head.rfind(b"\xff", max(marker - 36, 0), marker - 12), 0)


FINDERS: dict[str, Callable[[ReadAt, int], AudioBytes | None]] = {
    "wav": _riff,
    "w64": _w64,
    "aiff": _aiff,
    "caf": _caf,
    "au": _au,
    "asf": _asf,
    "mov": _mp4,
    "matroska": _matroska,
    "mp3": _mp3,
}
"""By FFmpeg's names of containers."""
CONSTANT_RATE = frozenset({"wav", "w64", "aiff", "caf", "au"})
"""Containers whose audio has a constant byte rate, so that bytes are seconds."""
UNSTATED = frozenset({"ogg", "aac"})
"""Containers whose duration FFmpeg takes from the file's end or estimates."""
