"""Opening a clip: where its audio begins, which codecs are decoded, and what a refusal says."""

import struct

import numpy as np
import pytest
from clips import hostile
from fakes import tagged_files
from fakes.audio_files import SNDFILE, with_sndfile
from fakes.tagged_files import encoded

from flamingo_common.audio import formats
from flamingo_common.audio.probe import probe
from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import sound_file


def decoded_s(data):
    return len(sound_file.decode_bytes(data, 60)) / 16_000


def refusal(data):
    with pytest.raises(InvalidAudio) as caught:
        sound_file.decode_bytes(data, 60)
    return caught.value.message


ENCODED = {
    # container and encoder, by the decoder and the format
    ("wav", "pcm_s16le"): ("wav", "pcm_s16le"),
    ("wav", "pcm_mulaw"): ("wav", "pcm_mulaw"),
    ("wav", "adpcm_ms"): ("wav", "adpcm_ms"),
    ("wav", "adpcm_ima_wav"): ("wav", "adpcm_ima_wav"),
    ("wav", "mp3float"): ("wav", "libmp3lame"),
    ("w64", "pcm_s24le"): ("w64", "pcm_s24le"),
    ("aiff", "pcm_s16be"): ("aiff", "pcm_s16be"),
    ("aiff", "adpcm_ima_qt"): ("aiff", "adpcm_ima_qt"),
    ("au", "pcm_s16be"): ("au", "pcm_s16be"),
    ("caf", "pcm_f32be"): ("caf", "pcm_f32be"),
    ("caf", "alac"): ("caf", "alac"),
    ("caf", "flac"): ("caf", "flac"),
    ("flac", "flac"): ("flac", "flac"),
    ("wavpack", "wavpack"): ("wv", "wavpack"),
    ("tta", "tta"): ("tta", "tta"),
    ("mp3", "mp3float"): ("mp3", "libmp3lame"),
    ("mp3", "mp2"): ("mp2", "mp2"),
    ("aac", "aac"): ("adts", "aac"),
    ("mp4", "aac"): ("ipod", "aac"),
    ("mp4", "alac"): ("ipod", "alac"),
    ("mp4", "opus"): ("mp4", "libopus"),
    ("mp4", "flac"): ("mp4", "flac"),
    ("mp4", "pcm_s24be"): ("mov", "pcm_s24be"),
    ("ogg", "vorbis"): ("ogg", "vorbis"),
    ("ogg", "opus"): ("ogg", "libopus"),
    ("ogg", "flac"): ("ogg", "flac"),
    ("webm", "opus"): ("webm", "libopus"),
    ("webm", "wavpack"): ("matroska", "wavpack"),
    ("webm", "alac"): ("matroska", "alac"),
    ("asf", "wmav2"): ("asf", "wmav2"),
    ("asf", "wmav1"): ("asf", "wmav1"),
}


def example(container, encoder):
    rate_hz = 48_000 if encoder == "libopus" else 44_100
    return encoded(container, encoder, rate_hz, "stereo")


@pytest.mark.parametrize("row", ENCODED, ids=" of ".join)
def test_a_codec_of_the_table_is_decoded_at_the_length_that_the_probe_states(row):
    data = example(*ENCODED[row])
    clip = probe(data, total_bytes=len(data))

    assert clip.container == row[0]
    assert row[1] in formats.BY_KEY[row[0]].codecs
    assert decoded_s(data) == pytest.approx(tagged_files.SECONDS, abs=0.08)
    if clip.source == "exact":
        assert clip.seconds == pytest.approx(tagged_files.SECONDS, abs=0.08)


@pytest.mark.parametrize("row", ENCODED, ids=" of ".join)
def test_a_codec_of_the_table_sounds_like_the_original(row):
    container, encoder = ENCODED[row]
    original = sound_file.decode_bytes(encoded("wav", "pcm_s16le", layout="stereo"), 60)
    assert likeness(sound_file.decode_bytes(example(container, encoder), 60), original) > 0.9


@pytest.mark.parametrize("name", [name for name in SNDFILE if "flac" not in name])
def test_files_of_another_library_sound_like_the_original(name):
    original = sound_file.decode_bytes(with_sndfile("WAV", "PCM_16", seconds=2.0), 60)
    data = with_sndfile(*SNDFILE[name], seconds=2.0)
    assert likeness(sound_file.decode_bytes(data, 60), original) > 0.9


def likeness(one, other):
    """Return the correlation of both at the delay at which it is highest."""
    size = len(one) + len(other)
    spectrum = np.fft.rfft(one, size) * np.fft.rfft(other, size).conj()
    return np.fft.irfft(spectrum).max() / np.sqrt((one**2).sum() * (other**2).sum())


def test_every_format_has_an_example():
    covered = {key for key, _ in ENCODED}
    assert {each.key for each in formats.FORMATS} == covered


def wave_format(tag, extra=b""):
    return struct.pack("<HHIIHHH", tag, 1, 44_100, 16_000, 2230, 16, len(extra)) + extra


def speex():
    numbers = struct.pack("<13i", 1, 80, 16_000, 1, 4, 1, -1, 320, 0, 1, 0, 0, 0)
    header = b"Speex   " + b"1.2".ljust(20, b"\0") + numbers
    pages = [([header], 2, 0), ([bytes(8)], 0, 0), ([bytes(60)] * 20, 4, 6400)]
    return b"".join(
        tagged_files.ogg_page(packets, number=number, flags=flags, position=position)
        for number, (packets, flags, position) in enumerate(pages)
    )


def au_of(encoding):
    data = encoded("au", "pcm_mulaw")
    return data[:12] + struct.pack(">I", encoding) + data[16:]


OUTSIDE = {
    "AC-3 in WAV": (lambda: encoded("wav", "ac3"), "AC-3 (Dolby Digital) (ac3)", "WAV"),
    "AC-3 in the PCM of a WAV": (
        lambda: hostile.wav(48_000, 2, encoded("spdif", "ac3", 48_000)),
        "AC-3 (Dolby Digital) (ac3)",
        "WAV",
    ),
    "AAC in WAV": (lambda: encoded("wav", "aac"), "AAC (aac)", "WAV"),
    "Yamaha ADPCM in WAV": (
        lambda: encoded("wav", "adpcm_yamaha"), "Yamaha ADPCM (adpcm_yamaha)", "WAV",
    ),
    "AC-3 in Wave64": (lambda: encoded("w64", "ac3"), "AC-3 (Dolby Digital) (ac3)", "Wave64"),
    "MACE in AIFF": (
        lambda: encoded("aiff", "adpcm_ima_qt").replace(b"ima4", b"MAC3"),
        "MACE 3:1 (mace3)",
        "AIFF",
    ),
    "G.721 in AU": (lambda: au_of(23), "G.726 (g726le)", "AU"),
    "QDesign in CAF": (
        lambda: encoded("caf", "adpcm_ima_qt").replace(b"ima4", b"QDM2"),
        "QDesign Music 2 (qdm2)",
        "CAF",
    ),
    "AMR in CAF": (
        lambda: encoded("caf", "adpcm_ima_qt").replace(b"ima4", b"samr"), "AMR (amrnb)", "CAF",
    ),
    "AC-3 in MP4": (lambda: encoded("mp4", "ac3"), "AC-3 (Dolby Digital) (ac3)", "MP4"),
    "E-AC-3 in MP4": (
        lambda: encoded("mp4", "eac3"), "E-AC-3 (Dolby Digital Plus) (eac3)", "MP4",
    ),
    "AMR in 3GP": (
        lambda: encoded("3gp", "libopencore_amrnb", 8_000), "AMR (amrnb)", "MP4",
    ),
    "Speex in Ogg": (speex, "Speex (speex)", "Ogg"),
    "AC-3 in Matroska": (
        lambda: encoded("matroska", "ac3"), "AC-3 (Dolby Digital) (ac3)", "Matroska",
    ),
    "WMA in Matroska": (
        lambda: tagged_files.matroska_of(
            b"A_MS/ACM", wave_format(0x161, bytes(10)), [bytes(2230)] * 4
        ),
        "WMA 2 (wmav2)",
        "Matroska",
    ),
    "ATRAC in Matroska": (
        lambda: tagged_files.matroska_of(b"A_MS/ACM", wave_format(0x270, bytes(14)), [bytes(424)]),
        "ATRAC3 (atrac3)",
        "Matroska",
    ),
    "MP3 in ASF": (lambda: encoded("asf", "libmp3lame"), "MP3 (mp3float)", "ASF"),
    "AC-3 in ASF": (lambda: encoded("asf", "ac3"), "AC-3 (Dolby Digital) (ac3)", "ASF"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_codec_outside_the_table_is_refused_by_name(name):
    make, codec, container = OUTSIDE[name]
    message = refusal(make())

    assert f"the {container} file's audio codec is {codec}, which is not supported in" in message
    assert "; supported: " in message


@pytest.mark.parametrize("tag", [b"drms", b"enca"])
def test_an_encrypted_m4a_is_refused_as_such(tag):
    message = refusal(encoded("ipod", "aac").replace(b"mp4a", tag))
    assert message == "the MP4 file is protected by DRM, so it cannot be decoded"


def test_an_encrypted_wma_is_refused_as_such():
    data = encoded("asf", "wmav2")
    size, count = struct.unpack_from("<QI", data, 16)
    lock = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + struct.pack("<Q", 40) + bytes(16)
    head = data[:16] + struct.pack("<QI", size + 40, count + 1) + data[28:30]
    assert "a WMA file that is protected by DRM" in refusal(head + lock + data[30:])


def test_a_film_without_sound_has_only_video():
    message = refusal(hostile.film("mp4", sounds=0))
    assert message == "the MP4 file has no audio stream, only video"


@pytest.mark.parametrize("num_channels", [33, 512, 513, 5000, 65_535])
def test_too_many_channels_are_refused_as_too_many(num_channels):
    message = refusal(hostile.wav(16_000, num_channels, bytes(4 * num_channels)))
    assert "supported: 1 to 32" in message
    assert "0 channels" not in message
    assert str(num_channels) in message or "more than 512" in message


@pytest.mark.parametrize("layout", ["5.1", "7.1", "hexadecagonal"])
@pytest.mark.parametrize("kind", [("ipod", "aac"), ("wv", "wavpack"), ("caf", "pcm_s16be")])
def test_many_channels_are_decoded(kind, layout):
    data = encoded(*kind, layout=layout)
    assert decoded_s(data) == pytest.approx(tagged_files.SECONDS, abs=0.05)


PREFIXES = {
    "id3": tagged_files.id3([tagged_files.jpeg(3000)]),
    "two tags": tagged_files.id3([]) + tagged_files.id3([tagged_files.jpeg(50)]),
    "ape": tagged_files.ape([tagged_files.jpeg(500)]),
    "id3 and zeros": tagged_files.id3([]) + bytes(4096),
}


@pytest.mark.parametrize("row", ENCODED, ids=" of ".join)
@pytest.mark.parametrize("name", PREFIXES)
def test_tags_before_any_container_are_skipped(row, name):
    data = example(*ENCODED[row])
    tagged = PREFIXES[name] + data
    assert np.array_equal(sound_file.decode_bytes(tagged, 60), sound_file.decode_bytes(data, 60))


JUNK = {
    "4 kB of zeros": bytes(4096),
    "64 kB of noise": np.random.default_rng(5).bytes(65_000),
    "text": b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n",
    "half a frame": np.random.default_rng(6).bytes(211),
    "a blanked tag of 1 MB": b"ID3\x04\0\0" + tagged_files.syncsafe(100) + bytes(2**20),
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("kind", [("mp3", "libmp3lame"), ("mp2", "mp2"), ("adts", "aac")])
def test_frames_after_other_bytes_are_decoded(kind, junk):
    data = encoded(*kind)
    frames = data[data.index(b"\xff") :]
    assert decoded_s(junk + frames) == decoded_s(frames)


ENDS = {
    "id3v1": b"TAG" + bytes(125),
    "ape": tagged_files.ape([tagged_files.jpeg(2000)]),
    "ape and id3v1": tagged_files.ape([]) + b"TAG" + bytes(125),
    "lyrics": b"LYRICSBEGININD0000200" + b"000021LYRICS200",
}


TAGGED = [
    ("mp3", "libmp3lame"),
    ("adts", "aac"),
    ("flac", "flac"),
    ("wv", "wavpack"),
    ("tta", "tta"),
]


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("kind", TAGGED)
def test_tags_after_the_audio_are_not_decoded(kind, end):
    data = encoded(*kind)
    assert decoded_s(data + end) == decoded_s(data)


@pytest.mark.parametrize("box", [b"wide", b"free", b"skip"])
def test_a_quicktime_file_may_begin_with_another_box(box):
    data = encoded("mov", "pcm_s16be")
    start = int.from_bytes(data[:4], "big")
    assert data[4:8] == b"ftyp"
    # As long as `ftyp`, so that offsets stay valid.
    assert decoded_s(struct.pack(">I4s", start, box) + data[8:]) == decoded_s(data)


CHAINS = {
    "another rate": [("ogg", "vorbis", 44_100, "stereo"), ("ogg", "vorbis", 22_050, "stereo")],
    "other channels": [("ogg", "flac", 44_100, "mono"), ("ogg", "flac", 44_100, "stereo")],
    "another codec": [("ogg", "vorbis", 44_100, "stereo"), ("ogg", "libopus", 48_000, "mono")],
    "flac and opus": [("ogg", "flac", 44_100, "mono"), ("ogg", "libopus", 48_000, "stereo")],
    "the same": [("ogg", "libopus", 48_000, "mono")] * 3,
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_links_of_a_chained_ogg_are_decoded_one_after_the_other(name):
    links = [encoded(*kind) for kind in CHAINS[name]]
    samples = sound_file.decode_bytes(b"".join(links), 60)
    parts = [sound_file.decode_bytes(link, 60) for link in links]

    assert len(samples) == pytest.approx(sum(map(len, parts)), abs=2)
    assert np.allclose(samples[: len(parts[0]) - 200], parts[0][:-200], atol=1e-4)
    assert np.allclose(samples[200 - len(parts[-1]) :], parts[-1][200:], atol=1e-4)


def test_a_link_that_ends_within_its_headers_adds_nothing():
    first, second = encoded("ogg", "vorbis"), encoded("ogg", "libopus", 48_000)
    assert decoded_s(first + second[:60]) == decoded_s(first)


def test_a_link_whose_codec_is_not_accepted_is_refused():
    assert "Speex" in refusal(encoded("ogg", "vorbis") + speex())


def test_a_chain_without_end_is_refused():
    link = tagged_files.ogg_page([b"OpusHead" + bytes(11)], flags=2)
    pages = (link + tagged_files.ogg_page([b"x"], position=960)) * 1100
    assert "a chain of more than 1024 files" in refusal(encoded("ogg", "libopus", 48_000) + pages)


@pytest.mark.parametrize("magic", [b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"PK\x03\x04", b"MThd"])
def test_other_files_are_refused_by_name(magic):
    message = refusal(magic + bytes(5000))
    assert message.startswith("unsupported audio format: this is a ")
    assert formats.SUPPORTED_FORMATS in message
