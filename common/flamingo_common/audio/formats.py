"""The table of audio formats: what is accepted, and everything that depends on it.

The router's probe, the pod's decoder, the messages of refusals, the OpenAPI document, the
documentation and the web page read this table, so a new format is one row, a parser of its
duration, and a test. `sniff.py` looks a file up in it.

Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flamingo_common.audio import (
    aiff,
    asf,
    caf,
    codecs,
    flac,
    matroska,
    mp4,
    mpeg,
    ogg,
    sun_au,
    true_audio,
    wav,
    wavpack,
)
from flamingo_common.audio.clip_info import ClipInfo

Matcher = Callable[[bytes], bool]
Parser = Callable[[bytes, int | None], ClipInfo | None]
SNIFF_BYTES = 8192
"""What a matcher gets of the file, from after the tags."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a container that was written in one go has its duration: at the end."""

    offset: Callable[[bytes, int], int | None]
    """Returns the offset to read from, given the head and the size; None if the head has it."""
    parse: Callable[[bytes, bytes], ClipInfo | None]
    """Returns the clip, from the head and what was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """An accepted container format."""

    key: str
    name: str
    """As messages and documentation call it."""
    label: str = ""
    """The name in the list of formats, if it has more to say."""
    matches: Matcher | None
    """Whether a file begins so; None: it has no header, and its frames are searched for."""
    demuxer: str
    """FFmpeg's name."""
    extensions: tuple[str, ...]
    """The usual one first. They serve the user interface; the format is detected."""
    mime_types: tuple[str, ...]
    """The registered or most usual one first."""
    codecs: tuple[str, ...]
    """FFmpeg's names of the decoders that are accepted in it."""
    parse: Parser
    usual_bytes_per_s: int
    """Of music; the duration is guessed from it if nothing else is known."""
    tail: Tail | None = None


def _magic(*starts: bytes) -> Matcher:
    return lambda head: head.startswith(starts)


def _at(offset: int, *marks: bytes) -> Matcher:
    return lambda head: head[offset:].startswith(marks)


def _form(start: bytes, *forms: bytes) -> Matcher:
    """Match a RIFF or FORM file of these types."""
    return lambda head: head.startswith(start) and head[8:].startswith(forms)


def _is_latm(head: bytes) -> bool:
    """Return whether a frame begins here, and another one after it: the mark has eleven bits."""
    second = (int.from_bytes(head[1:3], "big") & 0x1FFF) + 3
    return all(
        head[at : at + 1] == b"\x56" and head[at + 1 : at + 2] >= b"\xe0" for at in (0, second)
    )


FORMATS: tuple[Format, ...] = (
    Format(
        key="wav",
        name="WAV",
        label="WAV (also RF64, BW64)",
        matches=wav.is_wav,
        demuxer="wav",
        extensions=("wav", "wave", "bwf", "rf64", "bw64"),
        mime_types=("audio/wav", "audio/x-wav", "audio/vnd.wave", "audio/wave"),
        codecs=(*codecs.PCM, *codecs.COMPANDED, "adpcm_ms", "adpcm_ima_wav", *codecs.MPEG),
        parse=wav.parse,
        usual_bytes_per_s=176_400,  # CD: 44.1 kHz, 16 bit, stereo
    ),
    Format(
        key="w64",
        name="Wave64",
        matches=_magic(bytes.fromhex("726966662e91cf11a5d628db04c10000")),
        demuxer="w64",
        extensions=("w64",),
        mime_types=("audio/x-w64",),
        codecs=(*codecs.PCM, *codecs.COMPANDED, "adpcm_ms", "adpcm_ima_wav", *codecs.MPEG),
        parse=wav.parse_wave64,
        usual_bytes_per_s=176_400,
    ),
    Format(
        key="aiff",
        name="AIFF",
        matches=aiff.is_aiff,
        demuxer="aiff",
        extensions=("aiff", "aif", "aifc"),
        mime_types=("audio/aiff", "audio/x-aiff"),
        codecs=(*codecs.PCM, *codecs.COMPANDED, codecs.IMA4),
        parse=aiff.parse,
        usual_bytes_per_s=176_400,
    ),
    Format(
        key="au",
        name="AU",
        matches=_magic(b".snd"),
        demuxer="au",
        extensions=("au", "snd"),
        mime_types=("audio/basic", "audio/au"),
        codecs=(*codecs.PCM, *codecs.COMPANDED),
        parse=sun_au.parse,
        usual_bytes_per_s=176_400,
    ),
    Format(
        key="caf",
        name="CAF",
        matches=_magic(b"caff\x00\x01"),
        demuxer="caf",
        extensions=("caf",),
        mime_types=("audio/x-caf",),
        codecs=(
            *codecs.PCM, *codecs.COMPANDED, codecs.IMA4, "aac", "alac", "flac", "opus",
            *codecs.MPEG,
        ),
        parse=caf.parse,
        usual_bytes_per_s=60_000,  # Apple's loops: AAC or ALAC
        tail=Tail(lambda head, _: caf.pakt_offset(head), caf.parse_tail),
    ),
    Format(
        key="flac",
        name="FLAC",
        matches=_magic(b"fLaC"),
        demuxer="flac",
        extensions=("flac",),
        mime_types=("audio/flac", "audio/x-flac"),
        codecs=("flac",),
        parse=flac.parse,
        usual_bytes_per_s=100_000,
    ),
    Format(
        key="wavpack",
        name="WavPack",
        matches=_magic(b"wvpk"),
        demuxer="wv",
        extensions=("wv",),
        mime_types=("audio/x-wavpack",),
        codecs=("wavpack",),
        parse=wavpack.parse,
        usual_bytes_per_s=100_000,
    ),
    Format(
        key="tta",
        name="True Audio",
        matches=_magic(b"TTA1"),
        demuxer="tta",
        extensions=("tta",),
        mime_types=("audio/x-tta",),
        codecs=("tta",),
        parse=true_audio.parse,
        usual_bytes_per_s=100_000,
    ),
    Format(
        key="mp3",
        name="MP3",
        label="MP3 (also MP2)",
        matches=None,
        demuxer="mp3",
        extensions=("mp3", "mp2", "mpga"),
        mime_types=("audio/mpeg", "audio/mp3"),
        codecs=codecs.MPEG,
        parse=mpeg.parse_mp3,
        usual_bytes_per_s=20_000,
    ),
    Format(
        key="aac",
        name="AAC",
        matches=None,
        demuxer="aac",
        extensions=("aac",),
        mime_types=("audio/aac",),
        codecs=("aac",),
        parse=mpeg.parse_adts,
        usual_bytes_per_s=16_000,
    ),
    Format(
        key="mp4",
        name="MP4",
        label="M4A/MP4",
        matches=mp4.is_mp4,
        demuxer="mov",
        extensions=("m4a", "mp4", "m4b", "mov", "3gp", "3g2"),
        mime_types=("audio/mp4", "audio/x-m4a", "audio/m4a", "video/mp4", "video/quicktime"),
        codecs=(
            "aac", "alac", "flac", "opus", *codecs.MPEG, *codecs.PCM, *codecs.COMPANDED,
            codecs.IMA4, "adpcm_ms", "adpcm_ima_wav",
        ),
        parse=mp4.parse,
        usual_bytes_per_s=16_000,
        tail=Tail(lambda head, _: mp4.moov_offset(head), lambda _, end: mp4.parse(end, None)),
    ),
    Format(
        key="ogg",
        name="Ogg",
        label="Ogg (Vorbis, Opus, FLAC)",
        matches=_magic(b"OggS"),
        demuxer="ogg",
        extensions=("ogg", "oga", "opus"),
        mime_types=("audio/ogg", "audio/opus", "application/ogg"),
        codecs=("vorbis", "opus", "flac"),
        parse=ogg.parse,
        usual_bytes_per_s=14_000,
        tail=Tail(ogg.tail_offset, ogg.parse_tail),
    ),
    Format(
        key="webm",
        name="Matroska",
        label="WebM/Matroska",
        matches=_magic(matroska.MAGIC),
        demuxer="matroska",
        extensions=("webm", "mka", "mkv"),
        mime_types=("audio/webm", "audio/x-matroska", "video/webm", "video/x-matroska"),
        codecs=("opus", "vorbis", "flac", "aac", "alac", *codecs.MPEG, "wavpack", "tta",
            *codecs.PCM),
        parse=matroska.parse,
        usual_bytes_per_s=12_000,
    ),
    Format(
        key="asf",
        name="ASF",
        label="WMA",
        matches=_magic(asf.MAGIC),
        demuxer="asf",
        extensions=("wma", "asf"),
        mime_types=("audio/x-ms-wma",),
        codecs=("wmav2", "wmav1", "wmapro", "wmalossless"),
        parse=asf.parse,
        usual_bytes_per_s=16_000,
    ),
)  # fmt: skip
BY_KEY: dict[str, Format] = {each.key: each for each in FORMATS}
UNKNOWN_BYTES_PER_S = 16_000

NOT_ACCEPTED: tuple[tuple[str, Matcher], ...] = (
    # Audio. Some is rare, some is speech, some cannot be encoded for a test by anything free.
    ("a Monkey's Audio (APE) file", _magic(b"MAC ", b"MACF")),
    ("a Musepack file", _magic(b"MP+", b"MPCK")),
    ("a TAK file", _magic(b"tBaK")),
    ("an OptimFROG file", _magic(b"OFR ", b"OFRX")),
    ("a Shorten file", _magic(b"ajkg")),
    ("a DSD (DSF) file", _magic(b"DSD ")),
    ("a DSD (DSDIFF) file", _magic(b"FRM8")),
    ("a DTS file", _magic(b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"DTSHDHDR")),
    ("an AC-3 (Dolby Digital) file", _magic(b"\x0b\x77")),
    ("a RealAudio file", _magic(b".RMF", b".ra\xfd")),
    ("an AMR file", _magic(b"#!AMR")),
    ("an AAC file in LATM", _is_latm),
    ("an AAC file in ADIF", _magic(b"ADIF")),
    ("an Audible audiobook, which is protected by DRM", _at(4, b"\x57\x90\x75\x36")),
    ("an Audible audiobook, which is protected by DRM", _at(4, b"ftypaax")),
    ("an IAMF file", _magic(b"\xf8\x06iamf")),
    ("a QOA file", _magic(b"qoaf")),
    ("a RIFX file (big-endian WAV)", _form(b"RIFX", b"WAVE")),  # FFmpeg does not swap its samples
    ("a little-endian AU file", _magic(b"dns.")),
    ("a VOC file", _magic(b"Creative Voice File")),
    ("an IRCAM file", _magic(b"\x64\xa3", b"\x00\x01\xa3\x64")),
    ("a NIST SPHERE file", _magic(b"NIST_1A")),
    ("an 8SVX file", _form(b"FORM", b"8SVX", b"16SV")),
    ("a WMA file that is protected by DRM", asf.is_protected),
    # Music without sound.
    ("a MIDI file, which has notes but no sound", _magic(b"MThd")),
    ("a MIDI file, which has notes but no sound", _form(b"RIFF", b"RMID")),
    ("a SoundFont", _form(b"RIFF", b"sfbk")),
    ("a tracker module", _magic(b"Extended Module: ", b"IMPM")),
    ("a tracker module", _at(44, b"SCRM")),
    ("a tracker module", _at(1080, b"M.K.", b"M!K!", b"4CHN", b"8CHN", b"FLT4")),
    # Video.
    ("an AVI video", _form(b"RIFF", b"AVI ")),
    ("a Flash video", _magic(b"FLV")),
    ("an MPEG video", _magic(b"\0\0\1\xba", b"\0\0\1\xb3")),
    ("an MPEG transport stream", lambda head: head[:1] + head[188:189] + head[376:377] == b"GGG"),
    ("an MXF file", _magic(b"\x06\x0e\x2b\x34")),
    # Pictures, documents and archives.
    ("a PNG image", _magic(b"\x89PNG\r\n\x1a\n")),
    ("a JPEG image", _magic(b"\xff\xd8\xff")),
    ("a GIF image", _magic(b"GIF87a", b"GIF89a")),
    ("a WebP image", _form(b"RIFF", b"WEBP")),
    ("a TIFF image", _magic(b"II*\0", b"MM\0*")),
    ("a HEIC image", _at(4, b"ftypheic", b"ftypheix", b"ftypmif1")),
    ("an AVIF image", _at(4, b"ftypavif")),
    ("a PDF document", _magic(b"%PDF-")),
    ("a ZIP archive", _magic(b"PK\3\4", b"PK\5\6")),
    ("a gzip archive", _magic(b"\x1f\x8b\x08")),
    ("a RAR archive", _magic(b"Rar!\x1a\x07")),
    ("a 7-Zip archive", _magic(b"7z\xbc\xaf\x27\x1c")),
    ("a Zstandard archive", _magic(b"\x28\xb5\x2f\xfd")),
    ("an XZ archive", _magic(b"\xfd7zXZ\0")),
    ("a NumPy array", _magic(b"\x93NUMPY")),
    ("a program", _magic(b"\x7fELF")),
)
"""What is refused by name, with its article; looked at before `FORMATS`."""


def supported() -> str:
    """Return the names of the accepted formats, as a list in text."""
    *most, last = (each.label or each.name for each in FORMATS)
    return f"{', '.join(most)} and {last}"


SUPPORTED_FORMATS = supported()


def accept() -> str:
    """Return the attribute `accept` of an `<input type="file">`."""
    return ",".join(["audio/*", *(f".{name}" for each in FORMATS for name in each.extensions)])


_EXTENSIONS = frozenset(name for each in FORMATS for name in each.extensions)


def has_audio_extension(file_name: str) -> bool:
    """Return whether a file has the extension of an accepted format."""
    return file_name.rpartition(".")[2].lower() in _EXTENSIONS and "." in file_name
