"""What kind of file something is, by its contents."""

import numpy as np
import pytest
from fakes.audio_files import with_ffmpeg
from fakes.steps import num_steps
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.audio import formats, sniff


def key(data):
    found = sniff.sniff_bytes(data).format
    return found and found.key


def id3(num_bytes, body=None):
    size = bytes(num_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + (bytes(num_bytes) if body is None else body)


def ape_tag(num_bytes):
    sizes = num_bytes.to_bytes(4, "little") + (3).to_bytes(4, "little")
    return b"APETAGEX" + b"\xd0\x07\0\0" + sizes + bytes(12) + bytes(num_bytes)


CONTAINERS = {
    "wav": "wav", "wav over 4 GiB": "wav", "flac": "flac", "aiff": "aiff",
    "aiff in ima4": "aiff", "w64": "w64", "caf": "caf", "au": "au", "wavpack": "wavpack",
    "tta": "tta", "mp3": "mp3", "mp2": "mp3", "adts": "aac", "m4a": "mp4", "3gp": "mp4",
    "mov of pcm": "mp4", "vorbis": "ogg", "opus": "ogg", "webm": "webm", "wma": "asf",
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_real_file_is_recognised(files, name):
    assert key(files[name]) == CONTAINERS[name]


def test_every_accepted_format_is_among_the_real_files():
    assert {each.key for each in formats.FORMATS} == set(CONTAINERS.values())


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize(
    "tag",
    [id3(5000), id3(20) + id3(30), ape_tag(300), id3(10) + bytes(3000)],
    ids=["id3", "two", "ape", "id3 and blanks"],
)
def test_tags_before_any_format_are_skipped(files, name, tag):
    found = sniff.sniff_bytes(tag + files[name])
    plain = sniff.sniff_bytes(files[name])

    assert found.format is plain.format
    assert found.start == len(tag) + plain.start


def test_a_size_of_a_tag_in_bytes_of_eight_bits_is_read(files):
    tag = b"ID3\x03\0\0" + (200).to_bytes(4, "big") + bytes(200)
    assert sniff.sniff_bytes(tag + files["flac"]).start == len(tag)


JUNK = {
    "zeros": bytes(60_000),
    "random bytes": np.random.default_rng(3).bytes(60_000),
    "ones": b"\xff" * 50_000,
    "headers of http": b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n",
    "text": b"lorem ipsum \xc3\xa4 " * 3000,
    "lyrics": b"LYRICSBEGIN" + b"la la " * 400 + b"LYRICS200",
    "an old tag": b"TAG" + bytes(125),
    "a tag with a wrong size": id3(2**27, b"TIT2\0\0\0\5\0\0\0Blue"),
    "half a frame": b"\x55\xaa" * 300,
    "sync words": b"\xff\xfb\x90\x00" * 300,
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
@pytest.mark.parametrize("name", ["mp3 uncounted", "mp2", "adts"])
def test_frames_are_found_after_other_bytes(files, junk, name):
    frames = files[name][sniff.sniff_bytes(files[name]).start :]
    found = sniff.sniff_bytes(junk + frames)

    assert found.format is sniff.sniff_bytes(files[name]).format
    assert found.start == len(junk)


@pytest.mark.parametrize(
    "text", [b"\r\n", b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"]
)
@pytest.mark.parametrize("name", ["wav", "aiff", "flac", "vorbis", "m4a", "webm", "wma"])
def test_a_container_may_follow_text(files, text, name):
    found = sniff.sniff_bytes(text + files[name])

    assert found.format is sniff.sniff_bytes(files[name]).format
    assert found.start == len(text)


def test_a_container_within_other_bytes_is_not_taken_for_the_file(files):
    assert key(b"MZ\x90\0\3\0\0\0" + bytes(range(256)) + files["wav"]) is None


@pytest.mark.parametrize("claimed", [50, 500], ids=["too little", "too much"])
@pytest.mark.parametrize("name", ["flac", "wav", "m4a", "opus", "mp3 uncounted"])
def test_audio_is_found_if_a_tag_states_a_wrong_size(files, name, claimed):
    tag = id3(claimed, b"TIT2" + b"\1" * 196)
    plain = sniff.sniff_bytes(files[name])
    found = sniff.sniff_bytes(tag + files[name])

    assert found.format is plain.format
    is_within_frames = plain.format.key == "mp3" and claimed == 500
    assert is_within_frames or found.start == len(tag) + plain.start


def test_frames_are_not_searched_for_past_64_kib(files):
    assert key(np.random.default_rng(4).bytes(65_536) + files["mp3 uncounted"]) is None


def test_a_frame_that_no_consistent_frame_follows_is_not_believed():
    first = b"\xff\xfb\x90\x00" + bytes(413)
    other_rate = b"\xff\xfb\x94\x00" + bytes(380)
    assert key(first + first) == "mp3"
    assert key(first + other_rate + bytes(2000)) is None
    assert key(b"junk" + first + first + first + bytes(2000)) is None
    assert key(b"junk" + first * 4 + bytes(2000)) == "mp3"


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_no_audio(seed):
    assert key(np.random.default_rng(seed).bytes(200_000)) is None


@pytest.mark.parametrize("box", [b"wide", b"free", b"skip", b"mdat", b"moov", b"ftyp", b"pnot"])
def test_a_quicktime_file_may_begin_with_any_of_its_boxes(box):
    assert key(b"\0\0\0\x08" + box + bytes(100)) == "mp4"


REFUSED = {
    b"MAC \x96\x0f": "a Monkey's Audio (APE) file",
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff\xe0\0\x10JFIF": "a JPEG image",
    b"%PDF-1.7": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"MThd\0\0\0\6": "a MIDI file, which has notes but no sound",
    b"RIFF\0\0\0\0AVI LIST": "an AVI video",
    b"\x56\xe0\x04abcd" * 3: "an AAC file in LATM",
    b"GIF89a": "a GIF image",
    b"RIFX\0\0\0\0WAVEfmt ": "a RIFX file (big-endian WAV)",
    b"dns.\0\0\0\x1c": "a little-endian AU file",
    b"ADIF": "an AAC file in ADIF",
    b"\0" * 44 + b"SCRM": "a tracker module",
    b"G" + bytes(187) + b"G" + bytes(187) + b"G": "an MPEG transport stream",
    b"RIFF\0\0\0\0WEBPVP8 ": "a WebP image",
    b"#!AMR\n": "an AMR file",
    b"\0\0\0\x20ftypheic": "a HEIC image",
    b"  <!DOCTYPE html><html>": "an HTML page",
    b"The free lunch": "text",
    "L'été, c'est fini.\n".encode(): "text",
    "\ufeffNotes".encode("utf-16"): "text in UTF-16",
    ("Notes\r\n" * 2000).encode("utf-16"): "text in UTF-16",
    b"\xfe\xff" + ("Straße ÿþ\n" * 2000).encode("utf-16-be"): "text in UTF-16",
    ("ÿûÿóÿ\n" * 2000).encode("utf-16-le"): "text in UTF-16",
    ("ÿûÿóÿ\n" * 2000).encode("utf-16-be"): "text in UTF-16",
    ("Привет, мир! " * 2000).encode("utf-16"): "text in UTF-16",
    bytes(5000): "nothing but zeros",
    b"\x01\x02\x03\x04\x05\x06\x07": "a file of an unknown format",
}


@pytest.mark.parametrize(("data", "name"), REFUSED.items(), ids=REFUSED.values())
def test_a_refusal_says_what_the_file_is(data, name):
    found = sniff.sniff_bytes(data)

    assert (found.format, found.name) == (None, name)
    assert f"this is {name}; supported formats: WAV" in found.refusal


@pytest.mark.parametrize("tag", [b"", id3(700)], ids=["bare", "tagged"])
def test_a_picture_that_contains_mp3_frames_is_a_picture(files, tag):
    assert key(tag + b"\xff\xd8\xff\xe0" + files["mp3 uncounted"]) is None


@given(st.binary(max_size=400))
def test_any_bytes_can_be_sniffed(head):
    assert sniff.sniff_bytes(head).name


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfb\x90" * 30_000, b"\xff\xf1\x50\x80\x01\x00\xfc" * 12_000, id3(0) * 9_000],
    ids=["mp3 sync words", "adts sync words", "tags"],
)
def test_sniffing_takes_a_bounded_number_of_steps(data):
    assert num_steps(lambda: sniff.sniff_bytes(data)) < 70_000


def test_only_the_beginning_of_a_long_file_is_read(files):
    reads = []

    def read(at, size):
        reads.append(size)
        return (bytes(3) + np.random.default_rng(1).bytes(200))[at : at + size]

    sniff.sniff(read)
    assert sum(reads) < 600_000


def test_real_files_of_each_format_need_no_name(tmp_path):
    assert key(with_ffmpeg(tmp_path / "song.jpg", "mp3")) == "mp3"
