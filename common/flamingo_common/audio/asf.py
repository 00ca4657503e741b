"""ASF, the container of WMA: the file properties have the duration, and how much is preroll.

Pure.
"""

import struct

from flamingo_common.audio.clip_info import ClipInfo

MAGIC = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
CONTENT_ENCRYPTION = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
EXTENDED_ENCRYPTION = bytes.fromhex("14e68a292226174cb935dae07ee9289c")
FIRST_OBJECT = 30
OBJECT_HEADER_BYTES = 24
MAX_OBJECTS = 256
BROADCAST = 1
"""The flag of a live recording, whose duration is not valid."""


def parse(head: bytes, _total_bytes: int | None) -> ClipInfo | None:
    """Return the clip whose ASF file begins with `head`."""
    at = _find(head, (FILE_PROPERTIES,))
    if at is None:
        return None
    duration_100ns, preroll_ms, flags = struct.unpack_from("<Q8xQI", head, at + 40)
    seconds = duration_100ns / 1e7 - preroll_ms / 1e3
    return ClipInfo(seconds, "exact", "asf") if seconds > 0 and not flags & BROADCAST else None


def file_bytes(head: bytes) -> int:
    """Return the size of the file that `head` states; 0 if it was not known when it was written."""
    at = _find(head, (FILE_PROPERTIES,))
    if at is None or at + 68 > len(head):
        return 0
    num_bytes, flags = struct.unpack_from("<16xQ40xI", head, at)
    return 0 if flags & BROADCAST else int(num_bytes)


def is_protected(head: bytes) -> bool:
    """Return whether the file that begins with `head` is encrypted."""
    return (
        head.startswith(MAGIC)
        and _find(head, (CONTENT_ENCRYPTION, EXTENDED_ENCRYPTION)) is not None
    )


def _find(head: bytes, kinds: tuple[bytes, ...]) -> int | None:
    """Return the offset of the body of the first object of these kinds."""
    at = FIRST_OBJECT
    for _ in range(MAX_OBJECTS):
        if at + OBJECT_HEADER_BYTES > len(head):
            return None
        kind, size = struct.unpack_from("<16sQ", head, at)
        if kind in kinds:
            return at + OBJECT_HEADER_BYTES
        at += max(size, OBJECT_HEADER_BYTES)
    return None
