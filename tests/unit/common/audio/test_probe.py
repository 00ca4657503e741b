"""The header probe on real files, compared with the duration of the decoded audio.

Tolerances: 60 ms for an exact duration (encoders add up to two frames of silence), 5 % for
one that is estimated from a bit rate.
"""

import io
import struct

import av
import pytest
from fakes.audio_files import RATE_HZ, SECONDS, with_sndfile
from fakes.effort import examples
from fakes.steps import num_steps
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo_common.audio.clip_info import MAX_S, MIN_BYTES_PER_S
from flamingo_common.audio.probe import HEAD_BYTES, probe

EXACT = ["wav", "wav of floats", "wav extensible", "wav over 4 GiB", "wav in adpcm", "flac"]
EXACT += ["wav in ima adpcm", "wav in a-law", "wav of mp3", "w64", "w64 in adpcm"]
EXACT += ["mp3", "m4a faststart", "webm", "aiff", "aiff-c of floats", "aiff in ima4", "caf", "au"]
EXACT += ["au in mu-law", "wavpack", "tta", "wma", "wma 1"]
ESTIMATED = ["mp3 uncounted", "mp2", "vorbis", "opus", "flac in ogg", "adts"]
BY_SIZE = ["m4a", "mp4 in fragments"]


def probed(data, **changes):
    return probe(data[:HEAD_BYTES], **({"total_bytes": len(data)} | changes))


@pytest.mark.parametrize("name", EXACT)
def test_a_duration_in_the_header_is_exact(files, name):
    clip = probed(files[name])

    assert clip.source == "exact"
    assert clip.seconds == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("name", EXACT)
def test_a_duration_in_the_header_needs_no_total_size(files, name):
    assert probed(files[name], total_bytes=None).seconds == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("name", ESTIMATED)
def test_a_duration_from_the_bit_rate_is_close(files, name):
    assert len(files[name]) > HEAD_BYTES
    clip = probed(files[name])

    assert clip.source == "estimate"
    assert clip.seconds == pytest.approx(SECONDS, rel=0.05)


@pytest.mark.parametrize("name", ESTIMATED)
def test_a_duration_from_the_bit_rate_needs_the_total_size(files, name):
    assert probed(files[name], total_bytes=None) is None


@pytest.mark.parametrize("name", BY_SIZE)
def test_without_a_duration_in_the_head_the_size_decides(files, name):
    clip = probed(files[name])

    assert clip.source == "bytes"
    assert SECONDS / 3 < clip.seconds < SECONDS * 3


def test_every_clip_of_the_test_set_is_close(clips):
    for name, data in clips.items():
        if name.endswith(".md"):
            continue
        with av.open(io.BytesIO(data)) as source:
            true_s = source.duration / av.time_base
        assert probed(data).seconds == pytest.approx(true_s, rel=0.1, abs=0.1), name


def test_an_ogg_file_that_fits_the_head_is_exact():
    data = with_sndfile("OGG", "VORBIS", seconds=2.0)
    clip = probe(data, total_bytes=len(data))

    assert clip.source == "exact"
    assert clip.seconds == pytest.approx(2.0, abs=0.06)


def test_a_chain_of_ogg_files_is_estimated_by_its_first_link():
    data = with_sndfile("OGG", "VORBIS", seconds=2.0)
    clip = probe(data * 3, total_bytes=3 * len(data))

    assert clip.source == "estimate"
    assert clip.seconds == pytest.approx(6.0, rel=0.2)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF], ids=["zero", "all ones"])
def test_a_streamed_wav_extends_to_the_end_of_the_file(files, size):
    data = bytearray(files["wav"])
    at = data.index(b"data") + 4
    struct.pack_into("<I", data, at, size)

    assert probed(bytes(data)).seconds == pytest.approx(SECONDS, abs=0.01)
    assert probed(bytes(data), total_bytes=None) is None


def test_a_truncated_wav_is_as_long_as_its_data(files):
    assert probed(files["wav"][: 44 + RATE_HZ * 2 * 5]).seconds == pytest.approx(5.0, abs=0.01)


def test_a_wav_with_tags_longer_than_the_head_uses_its_byte_rate(files):
    data = files["wav"]
    at = data.index(b"data")
    tag = b"LIST" + struct.pack("<I", 100_000) + bytes(100_000)
    clip = probed(data[:at] + tag + data[at:])

    assert clip.source == "estimate"
    assert clip.seconds == pytest.approx(SECONDS, rel=0.1)


def test_a_flac_without_a_sample_count_uses_its_byte_rate(files):
    data = bytearray(files["flac"])
    (packed,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, packed & ~(2**36 - 1))
    clip = probed(bytes(data))

    assert clip.source == "estimate"
    assert SECONDS / 2 < clip.seconds < SECONDS * 2


def id3(num_bytes):
    size = bytes(num_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + bytes(num_bytes)


@pytest.mark.parametrize("name", ["mp3", "mp3 uncounted", "adts", "flac"])
def test_tags_before_the_audio_are_skipped(files, name):
    plain = probed(files[name])
    bare = files[name][45:] if files[name][:3] == b"ID3" else files[name]
    tagged = probed(id3(20_000) + bare)

    assert tagged.container == plain.container
    assert tagged.seconds == pytest.approx(plain.seconds, rel=0.05)


def test_cover_art_larger_than_the_head_is_subtracted_from_the_size(files):
    data = files["mp3"]
    clip = probed(id3(300_000) + data)

    assert clip.source == "bytes"
    assert clip.seconds == pytest.approx(len(data) / 20_000, rel=0.01)


def test_a_vbri_header_has_the_number_of_frames():
    first = bytearray(b"\xff\xfb\x90\xc4" + bytes(413))  # 128 kbit/s, 44.1 kHz, mono
    first[36:40] = b"VBRI"
    struct.pack_into(">I", first, 50, 1000)
    clip = probe(bytes(first) * 3, total_bytes=400_000)

    assert clip.source == "exact"
    assert clip.seconds == pytest.approx(1000 * 1152 / 44_100)


def test_a_live_webm_without_a_duration_uses_the_size(files):
    data = files["webm"].replace(b"\x44\x89\x88", b"\xec\x89\x88", 1)
    assert probed(data).source == "bytes"


def test_a_64_bit_mp4_duration_is_read():
    mvhd = b"\x01\x00\x00\x00" + bytes(16) + struct.pack(">IQ", 1000, 60_000)
    moov = struct.pack(">I4s", 16 + len(mvhd), b"moov") + struct.pack(
        ">I4s", 8 + len(mvhd), b"mvhd"
    )
    data = struct.pack(">I4s", 16, b"ftyp") + b"M4A \0\0\0\0" + moov + mvhd

    assert probe(data, total_bytes=10**6).seconds == 60.0


def test_a_fragmented_mp4_may_have_a_duration():
    mvhd = bytes(12) + struct.pack(">II", 1000, 0)
    mehd = bytes(4) + struct.pack(">I", 60_000)
    mvex = struct.pack(">I4sI4s", 16 + len(mehd), b"mvex", 8 + len(mehd), b"mehd") + mehd
    body = struct.pack(">I4s", 8 + len(mvhd), b"mvhd") + mvhd + mvex
    data = struct.pack(">I4s", 8 + len(body), b"moov") + body

    assert probe(data, total_bytes=10**6).seconds == 60.0


@pytest.mark.parametrize(
    ("data", "container", "bytes_per_s"),
    [
        pytest.param(b"\x00" * 100, "unknown", 16_000, id="not audio"),
        pytest.param(b"", "unknown", 16_000, id="empty"),
        pytest.param(b"ID3\x04\0\0\0\0\0\x02", "mp3", 20_000.24, id="truncated tag"),
        pytest.param(b"fLaC", "flac", 100_000, id="truncated after the marker"),
        pytest.param(b"RIFF\0\0\0\0WAVE", "wav", 176_400, id="wav without chunks"),
        pytest.param(b"OggS", "ogg", 14_000, id="truncated page"),
    ],
)
def test_an_unparsable_file_uses_size_and_format(data, container, bytes_per_s):
    clip = probe(data, total_bytes=1_000_000)

    assert (clip.source, clip.container) == ("bytes", container)
    assert clip.seconds == pytest.approx(1_000_000 / bytes_per_s)


def test_no_data_has_no_duration():
    assert probe(b"", total_bytes=None) is None
    assert probe(b"", total_bytes=0) is None
    assert probe(b"junk", total_bytes=None) is None


def test_an_implausible_duration_is_limited(files):
    data = bytearray(files["flac"])
    (packed,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, packed | (2**36 - 1))
    short = probe(bytes(data[:HEAD_BYTES]), total_bytes=100_000)
    endless = probe(bytes(data[:HEAD_BYTES]), total_bytes=None)

    assert (short.seconds, short.source) == (100_000 / MIN_BYTES_PER_S, "estimate")
    assert (endless.seconds, endless.source) == (MAX_S, "estimate")


def check(head, total_bytes):
    clip = probe(head, total_bytes=total_bytes)
    if clip is not None:
        assert 0 < clip.seconds <= MAX_S
        assert total_bytes is None or clip.seconds <= total_bytes / MIN_BYTES_PER_S


TOTALS = st.none() | st.integers(0, 2**40)
MAGICS = [b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVE", b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3"]
MAGICS += [b"\0\0\0\x10ftyp", b"ID3", b"\xff\xfb", b"\xff\xf1", b""]


@given(st.sampled_from(MAGICS), st.binary(max_size=600), TOTALS)
def test_random_bytes_never_raise(magic, rest, total_bytes):
    check(magic + rest, total_bytes)


@settings(max_examples=examples(400))
@given(data=st.data(), total_bytes=TOTALS)
def test_a_corrupt_header_never_raises(files, data, total_bytes):
    name = data.draw(st.sampled_from(sorted(files)))
    head = bytearray(files[name][: data.draw(st.integers(1, 8192))])
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, min(len(head), 512) - 1))
        head[at] = data.draw(st.integers(0, 255))
    check(bytes(head), total_bytes)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 8192, id="empty chunks"),
        pytest.param(b"OggS" + bytes(23) + (b"OggS" + bytes(23)) * 2400, id="empty pages"),
        pytest.param(b"\0\0\0\x08free" * 8192, id="empty boxes"),
        pytest.param(b"\x1a\x45\xdf\xa3\x80" + b"\xec\x80" * 32000, id="empty elements"),
        pytest.param(b"ID3\x04\0\0\0\0\0\0" * 6500, id="empty tags"),
        pytest.param(b"ID3\x04\0\0\0\0\0\0" + b"\xff" * 65_000, id="sync after sync"),
        pytest.param(b"\xff\xf1\x50\x80\x00\xff\xfc" * 9000, id="empty frames"),
    ],
)
def test_no_header_takes_more_than_a_few_steps_a_byte(head):
    assert num_steps(lambda: check(head, 10**9)) < 2 * len(head)
