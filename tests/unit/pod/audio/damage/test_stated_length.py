"""What a clip's header states about its length, and when it is believed."""

import struct

import pytest
from clips import damage

from flamingo_pod.audio.damage import stated_length
from flamingo_pod.audio.damage.stated_length import AudioBytes, StatedLength

COMPLETE = AudioBytes(100, 1000)


def rest(container, present_s, seconds, *, extent=COMPLETE, file_bytes=1000):
    return StatedLength(container, file_bytes, extent, seconds).rest_s(present_s)


def extent_of(container, data):
    return stated_length.extent_of(container, lambda at, size: data[at : at + size])


def test_a_clip_as_long_as_stated_lacks_nothing():
    assert rest("mov", 10.0, 10.0) == 0
    assert rest("mov", 10.4, 10.0) == 0


def test_of_a_complete_file_a_second_and_a_twentieth_must_be_missing():
    assert rest("matroska", 9.1, 10.0) == 0
    assert rest("matroska", 8.9, 10.0) == pytest.approx(1.1)
    assert rest("matroska", 96.0, 100.0) == 0
    assert rest("matroska", 94.0, 100.0) == pytest.approx(6)


def test_of_a_file_that_was_cut_a_tenth_of_a_second_counts():
    assert rest("matroska", 9.8, 10.0, file_bytes=980) == pytest.approx(0.2)
    assert rest("matroska", 9.95, 10.0, file_bytes=995) == 0


def test_of_a_damaged_file_a_tenth_of_a_second_counts_too():
    damaged = StatedLength("mov", 1000, COMPLETE, 10.0, is_damaged=True)
    assert damaged.rest_s(9.8) == pytest.approx(0.2)
    assert damaged.rest_s(9.95) == 0


def test_an_mp3_ends_where_its_last_frame_does_if_much_follows():
    stated = AudioBytes(0, 100_000)
    assert stated_length.mp3_bytes(stated, 50_000, 100_000) == 50_000
    assert stated_length.mp3_bytes(stated, 97_000, 100_000) == 100_000
    assert stated_length.mp3_bytes(None, 50_000, 100_000) == 100_000


def test_a_flac_states_its_number_of_samples():
    assert rest("flac", 9.8, 10.0, extent=None) == pytest.approx(0.2)


def test_the_bytes_of_a_constant_rate_are_seconds_whatever_a_header_says():
    assert rest("wav", 4.0, None, file_bytes=550) == pytest.approx(4.0)
    assert rest("wav", 4.0, 77.0, file_bytes=550) == pytest.approx(4.0)
    assert rest("wav", 4.0, 77.0) == 0


@pytest.mark.parametrize("seconds", [None, 0.0, -1.0, 1e9])
def test_a_length_that_means_unknown_says_nothing(seconds):
    assert rest("mov", 10.0, seconds) == 0


def test_an_mp3s_number_of_frames_counts_only_if_its_bytes_say_the_same():
    half = {"extent": AudioBytes(0, 1000), "file_bytes": 500}
    assert rest("mp3", 5.0, 10.0, **half) == pytest.approx(5)
    assert rest("mp3", 5.0, 600.0, **half) == 0
    assert rest("mp3", 5.0, 10.0, extent=AudioBytes(0, 1000), file_bytes=1000) == 0
    assert rest("mp3", 5.0, 10.0, extent=None) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    {"00:03:25.500000000": 205.5, "01:00:00": 3600, "": None, "3:25": None, "x": None}.items(),
)
def test_the_duration_of_a_matroska_track_is_read(text, seconds):
    assert stated_length.seconds_of_tag(text) == seconds


CONTAINERS = {
    "wav": "wav", "rf64": "wav", "aiff": "aiff", "caf": "caf", "w64": "w64", "au": "au",
    "mp3-cbr": "mp3", "mp3-vbr": "mp3", "m4a": "mov", "fragmented-mp4": "mov", "webm": "matroska",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "container"), CONTAINERS.items())
def test_a_whole_files_audio_is_within_it_and_half_a_files_is_not(kind, container):
    data = damage.made(kind)
    extent = extent_of(container, data)
    assert len(data) * 0.9 < extent.end <= len(data)
    if kind in {"m4a", "fragmented-mp4"}:  # the box at the cut shows where it would have ended
        assert extent_of(container, data[: len(data) - 5]).end > len(data) - 5
    else:
        assert extent_of(container, data[: len(data) // 2]) == extent


@pytest.mark.parametrize("kind", ["mp3-cbr", "mp3-vbr"])
def test_an_id3_tag_moves_the_audio_of_an_mp3(kind):
    data = damage.made(kind)
    tag = b"ID3\x04\x00\x00\x00\x00\x08\x00" + bytes(1024)
    audio = data[10 + stated_length_of_tag(data) :] if data[:3] == b"ID3" else data
    plain, tagged = extent_of("mp3", audio), extent_of("mp3", tag + audio)
    assert (tagged.start, tagged.end) == (plain.start + len(tag), plain.end + len(tag))
    assert plain.start == 0


def stated_length_of_tag(data):
    return sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


@pytest.mark.parametrize("size", [0, 0x7FFF_FF00, 0xFFFF_FFFF])
def test_placeholders_for_an_unknown_size_state_nothing(size):
    fmt = b"fmt " + struct.pack("<I", 16) + bytes(16)
    wav = b"RIFF\xff\xff\xff\xffWAVE" + fmt + b"data" + struct.pack("<I", size) + bytes(400)
    aiff = b"FORM\xff\xff\xff\xffAIFF" + b"SSND" + struct.pack(">I", size) + bytes(400)
    au = b".snd" + struct.pack(">II", 24, size) + bytes(400)
    assert (extent_of("wav", wav), extent_of("aiff", aiff), extent_of("au", au)) == (None,) * 3


def test_a_live_stream_states_no_end():
    assert extent_of("matroska", damage.made("live-webm")) is None
    assert extent_of("mp3", damage.made("adts")) is None
    assert extent_of("ogg", damage.made("opus")) is None


@pytest.mark.parametrize("container", sorted(stated_length.FINDERS))
@pytest.mark.parametrize("kind", sorted(CONTAINERS))
def test_a_file_that_ends_within_its_header_states_nothing_and_does_not_fail(kind, container):
    data = damage.made(kind)
    for size in (*range(64), 100, 200, 400):
        extent = extent_of(container, data[:size])
        assert extent is None or extent.start >= 0
