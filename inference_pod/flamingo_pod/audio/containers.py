"""Which container some bytes are, by their first bytes.

Only what is named here is ever given to a decoder: FFmpeg alone knows over
four hundred formats, some of which open other files.

Pure.
"""

READABLE = "WAV, FLAC, MP3, Ogg (Vorbis, Opus), M4A/MP4, AAC, WebM/Matroska and AIFF"

MAGIC = (
    # the file starts with, at an offset stands, what it is
    (b"RIFF", 8, b"WAVE", "wav"),
    (b"RF64", 8, b"WAVE", "wav"),
    (b"fLaC", 0, b"", "flac"),
    (b"OggS", 0, b"", "ogg"),
    (b"FORM", 8, b"AIFF", "aiff"),
    (b"FORM", 8, b"AIFC", "aiff"),
    (b"\x1aE\xdf\xa3", 0, b"", "matroska"),
    (b"", 4, b"ftyp", "mov"),
)


def sniff(head: bytes) -> str | None:
    """Return FFmpeg's name of the container that starts with `head`; None if not readable."""
    for start, offset, kind, container in MAGIC:
        if head.startswith(start) and head[offset : offset + len(kind)] == kind:
            return container
    return _mpeg(head)


def _mpeg(head: bytes) -> str | None:
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) < 2 or head[0] != 0xFF:  # noqa: PLR2004 - a sync word is two bytes
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004 - layer 00 with sync: ADTS
        return "aac"
    return "mp3" if head[1] & 0xE0 == 0xE0 else None  # noqa: PLR2004 - an MPEG audio sync word
