"""The audio codecs that are accepted in each container, and the names of those that are not.

The keys are FFmpeg's decoders. Each is compared before a packet is decoded: FFmpeg has over
two hundred audio decoders, most of them for the formats of games and telephones.

Pure.
"""

from collections.abc import Collection, Iterable

PCM = tuple(
    f"pcm_{kind}"
    for kind in (
        "s8", "u8", "s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "s64le", "s64be",
        "f32le", "f32be", "f64le", "f64be",
    )
)  # fmt: skip
COMPANDED = ("pcm_alaw", "pcm_mulaw")
MPEG = ("mp3float", "mp3", "mp2float", "mp2", "mp1float", "mp1")
"""Which of the two decoders of a codec FFmpeg chooses depends on how it was built."""
IMA4 = "adpcm_ima_qt"

NAMES: dict[str, str] = {
    # Accepted in at least one container.
    "aac": "AAC",
    "alac": "ALAC",
    "flac": "FLAC",
    "mp1": "MP1",
    "mp1float": "MP1",
    "mp2": "MP2",
    "mp2float": "MP2",
    "mp3": "MP3",
    "mp3float": "MP3",
    "opus": "Opus",
    "vorbis": "Vorbis",
    "wavpack": "WavPack",
    "tta": "True Audio",
    "wmav1": "WMA 1",
    "wmav2": "WMA 2",
    "wmapro": "WMA Pro",
    "wmalossless": "WMA Lossless",
    "adpcm_ms": "Microsoft ADPCM",
    "adpcm_ima_wav": "IMA ADPCM",
    "adpcm_ima_qt": "IMA ADPCM",
    "pcm_alaw": "A-law",
    "pcm_mulaw": "μ-law",
    # Accepted nowhere: of films, of speech, or obsolete.
    "ac3": "AC-3 (Dolby Digital)",
    "eac3": "E-AC-3 (Dolby Digital Plus)",
    "ac4": "AC-4",
    "dca": "DTS",
    "truehd": "Dolby TrueHD",
    "mlp": "MLP",
    "ape": "Monkey's Audio",
    "speex": "Speex",
    "amrnb": "AMR",
    "amrwb": "AMR-WB",
    "gsm": "GSM",
    "gsm_ms": "GSM",
    "wmavoice": "WMA Voice",
    "adpcm_yamaha": "Yamaha ADPCM",
    "adpcm_ima_ws": "Westwood ADPCM",
    "adpcm_swf": "Flash ADPCM",
    "g722": "G.722",
    "g723_1": "G.723.1",
    "g726": "G.726",
    "g726le": "G.726",
    "g729": "G.729",
    "ilbc": "iLBC",
    "truespeech": "TrueSpeech",
    "aac_latm": "AAC in LATM",
    "mace3": "MACE 3:1",
    "mace6": "MACE 6:1",
    "qdm2": "QDesign Music 2",
    "qdmc": "QDesign Music",
    "atrac3": "ATRAC3",
    "atrac3plus": "ATRAC3+",
    "dsd_lsbf": "DSD",
    "dsd_msbf": "DSD",
    "dsd_lsbf_planar": "DSD",
    "dsd_msbf_planar": "DSD",
    "dst": "DST",
}


PROTECTED_TAGS = frozenset({"drms", "enca", "aavd"})
"""What stands in an MP4 in place of the codec, if the audio is encrypted."""


def name(decoder: str) -> str:
    """Return the name of a decoder's codec, as people call it."""
    if decoder in PCM:
        return "float PCM" if decoder.startswith("pcm_f") else "PCM"
    return NAMES.get(decoder, decoder)


def names(decoders: Iterable[str]) -> str:
    """Return the names of these decoders' codecs, each once, as a list in text."""
    return ", ".join(dict.fromkeys(map(name, decoders)))


def refusal(decoder: str, container: str, allowed: Collection[str]) -> str | None:
    """Return why this decoder is not accepted in the container; None if it is."""
    if decoder in allowed:
        return None
    label = name(decoder)
    label = label if label == decoder else f"{label} ({decoder})"
    return (
        f"the {container} file's audio codec is {label}, which is not supported in {container};"
        f" supported: {names(allowed)}"
    )
