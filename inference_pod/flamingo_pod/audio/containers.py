"""Identify an audio format by its first bytes, and list the decoders allowed to read it.

Only the formats named here are ever passed to FFmpeg, which supports over four hundred, some of
which open other files.

Pure.
"""

SUPPORTED_FORMATS = "WAV, FLAC, MP3, Ogg (Vorbis, Opus), M4A/MP4, AAC, WebM/Matroska and AIFF"

HEAD_BYTES = 16
MAGIC = (
    # first bytes, offset of the type, type, FFmpeg's name
    (b"RIFF", 8, b"WAVE", "wav"),
    (b"RF64", 8, b"WAVE", "wav"),
    (b"fLaC", 0, b"", "flac"),
    (b"OggS", 0, b"", "ogg"),
    (b"FORM", 8, b"AIFF", "aiff"),
    (b"FORM", 8, b"AIFC", "aiff"),
    (b"\x1aE\xdf\xa3", 0, b"", "matroska"),
    (b"", 4, b"ftyp", "mov"),
)
ALLOWED_CODECS = (
    "aac,alac,flac,mp1float,mp2float,mp3float,opus,vorbis,adpcm_ima_wav,adpcm_ms,adpcm_ima_qt,"
    "pcm_alaw,pcm_mulaw,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_s16be,pcm_s16le,"
    "pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8"
)
"""FFmpeg's names. Decoders for cover art and video are left out."""


def sniff(head: bytes) -> str | None:
    """Return FFmpeg's name of the container that starts with `head`; None if unsupported."""
    for start, offset, kind, container in MAGIC:
        if head.startswith(start) and head[offset : offset + len(kind)] == kind:
            return container
    if len(head) < 2 or head[0] != 0xFF:  # noqa: PLR2004 - a sync word has two bytes
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004 - layer 00 with sync: ADTS
        return "aac"
    return "mp3" if head[1] & 0xE0 == 0xE0 else None  # noqa: PLR2004 - an MPEG audio sync word


def id3_bytes(head: bytes) -> int:
    """Return the size of the ID3v2 tag that `head` starts with; 0 if there is none."""
    if head[:3] != b"ID3" or len(head) < 10:  # noqa: PLR2004 - the size of its header
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    has_footer = bool(head[5] & 0x10)
    return 10 + size + 10 * has_footer
