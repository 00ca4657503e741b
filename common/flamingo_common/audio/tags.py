"""Tags that programs write before and after the audio: ID3, APE, Lyrics3, and blank bytes.

They have nothing to do with the container behind them: taggers for MP3 were let loose on WAV and
FLAC, and a tag that is "removed" often leaves its bytes behind as zeros.

Pure.
"""

from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""Returns so many bytes from an offset: fewer where the file, or what is known of it, ends."""

MAX_TAGS = 16
"""A file tagged by several programs has two or three."""
BLOCK_BYTES = 64 * 1024
MAX_BLANK_BLOCKS = 256
"""16 MiB: larger than the cover art that a blanked tag contained."""
ID3_HEADER_BYTES = 10
APE_HEADER_BYTES = 32
ID3V1_BYTES = 128


def audio_offset(read: Read) -> int:
    """Return the offset of what follows the tags; it can be past the end of the file."""
    at = 0
    for _ in range(MAX_TAGS):
        num_bytes = _tag_bytes(read(at, APE_HEADER_BYTES))
        if not num_bytes:
            break
        at += num_bytes
    return at


def blank_end(read: Read, at: int) -> int:
    """Return the offset of the first byte from `at` that is not zero."""
    for _ in range(MAX_BLANK_BLOCKS):
        block = read(at, BLOCK_BYTES)
        content = block.lstrip(b"\0")
        at += len(block) - len(content)
        if content or not block:
            break
    return at


def audio_end(read: Read, size: int) -> int:
    """Return the offset at which the tags at the end of a file of this size begin."""
    for _ in range(MAX_TAGS):
        tag_bytes = _end_tag_bytes(read(max(size - ID3V1_BYTES, 0), ID3V1_BYTES))
        if not 0 < tag_bytes <= size:
            break
        size -= tag_bytes
    return size


def _end_tag_bytes(end: bytes) -> int:
    """Return the size of the tag that ends with `end`; 0 if there is none."""
    if len(end) == ID3V1_BYTES and end[:3] == b"TAG":
        return ID3V1_BYTES
    footer = end[-APE_HEADER_BYTES:]
    if len(footer) == APE_HEADER_BYTES and footer[:8] == b"APETAGEX":
        has_header = bool(footer[23] & 0x80)
        return int.from_bytes(footer[12:16], "little") + APE_HEADER_BYTES * has_header
    if end[-9:] == b"LYRICS200" and end[-15:-9].isdigit():
        return int(end[-15:-9]) + 15
    if end[-10:-7] == b"3DI":
        return 2 * ID3_HEADER_BYTES + _id3_body_bytes(end[-4:])
    return 0


def _tag_bytes(head: bytes) -> int:
    """Return the size of the tag that `head` starts with; 0 if there is none."""
    if head[:3] == b"ID3" and len(head) >= ID3_HEADER_BYTES:
        has_footer = bool(head[5] & 0x10)
        return ID3_HEADER_BYTES * (1 + has_footer) + _id3_body_bytes(head[6:ID3_HEADER_BYTES])
    if head[:8] == b"APETAGEX" and len(head) == APE_HEADER_BYTES:
        return APE_HEADER_BYTES + int.from_bytes(head[12:16], "little")
    return 0


def _id3_body_bytes(digits: bytes) -> int:
    """Return the size that four digits of 7 bits state, or of 8 bits as some programs write it."""
    if max(digits) > 0x7F:  # noqa: PLR2004 - the largest digit
        return int.from_bytes(digits, "big")
    size = 0
    for digit in digits:
        size = size << 7 | digit
    return size
