"""Files with many pictures: read, and within little memory."""

import os
import tempfile

import av
import pytest
from fakes import tagged_files
from fakes.steps import num_steps

from flamingo_common.audio import sniff
from flamingo_pod.audio import reader, sound_file
from flamingo_pod.audio.containers import links, parts, pictures


def decoded_s(data):
    return len(sound_file.decode_bytes(data, 60)) / 16_000


def shown_bytes(data):
    """Return how much of the file FFmpeg is shown, and with how many streams."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(data)
        found = sniff.sniff_bytes(data)
        (part,) = links.parts(file, found.format.key, found.start)
        view = reader._shown_view(file, found.format, part)
        num_bytes = view.seek(0, os.SEEK_END)
        view.seek(0)
        with av.open(view, format=found.format.demuxer) as source:
            return num_bytes, len(source.streams)


@pytest.mark.parametrize("name", tagged_files.WITH_PICTURES)
@pytest.mark.parametrize("num", [1, 40, 1000])
def test_a_file_with_pictures_is_as_long_as_without(name, num):
    make = tagged_files.WITH_PICTURES[name]
    assert decoded_s(make([tagged_files.jpeg(2000)] * num)) == decoded_s(make([]))


@pytest.mark.parametrize("name", tagged_files.WITH_PICTURES)
def test_ffmpeg_is_shown_no_picture(name):
    # 64 KiB of comments in an Ogg file are left as they are.
    assert shown_bytes(tagged_files.WITH_PICTURES[name]([tagged_files.jpeg(90_000)] * 4))[1] == 1


@pytest.mark.parametrize(
    "name", ["flac", "opus", "vorbis", "mp3 with id3", "mp3 with ape", "wavpack", "tta", "aac"]
)
def test_pictures_are_cut_out_where_nothing_refers_to_offsets(name):
    make = tagged_files.WITH_PICTURES[name]
    big, small = (make([tagged_files.jpeg(size)] * 4) for size in (100_000, 90_000))
    assert shown_bytes(big)[0] == shown_bytes(small)[0] < len(small) - 300_000


def test_the_encoders_delay_of_an_m4a_is_kept():
    smpb = b" 00000000 00000840 000001CA 0000000000015888" + b" 00000000" * 8
    tag = tagged_files.box(
        b"----",
        tagged_files.box(b"mean", bytes(4), b"com.apple.iTunes"),
        tagged_files.box(b"name", bytes(4), b"iTunSMPB"),
        tagged_files.box(b"data", b"\0\0\0\1", bytes(4), smpb),
    )
    cover = tagged_files.box(b"covr", tagged_files.box(b"data", bytes(8), tagged_files.jpeg(99)))
    plain = tagged_files.m4a([])
    empty = tagged_files.box(b"ilst", tagged_files.box(b"covr"))
    assert plain.endswith(empty)

    def tagged(content):
        return grown(plain[: -len(empty)], tagged_files.box(b"ilst", content))

    def grown(start, end):
        """Return both, with the sizes of the boxes that are open at the end of `start`."""
        out, added = bytearray(start + end), len(end) - len(empty)
        for kind in (b"moov", b"udta", b"meta"):
            at = start.rindex(kind) - 4
            out[at : at + 4] = (int.from_bytes(out[at : at + 4], "big") + added).to_bytes(4, "big")
        return bytes(out)

    assert decoded_s(tagged(tag + cover)) == decoded_s(tagged(tag))


@pytest.mark.parametrize("name", tagged_files.WITH_PICTURES)
@pytest.mark.parametrize("at", [10, 20, 45, 60, 300, 2000])
def test_a_truncated_file_is_left_to_ffmpeg(name, at):
    data = tagged_files.WITH_PICTURES[name]([tagged_files.jpeg(300)] * 3)[:at]
    key = {"m4a": "mp4", "matroska": "webm", "opus": "ogg", "vorbis": "ogg", "wma": "asf"}.get(name)
    found = pictures.patches(
        key or name, lambda start, size: data[start : start + size], range(len(data))
    )
    assert all(patch.replaced.stop <= len(data) + 8 for patch in found)


@pytest.mark.parametrize(
    ("key", "head", "part"),
    [
        ("wav", b"RIFF\0\0\0\0WAVE", b"abcd\0\0\0\0"),
        ("flac", b"fLaC\0\0\0\x22" + bytes(34), b"\6\0\0\0"),
        ("mp4", b"", b"\0\0\0\x08moov"),
        ("webm", bytes.fromhex("18538067") + b"\xff", b"\x19\x41\xa4\x69\x80"),
        ("ogg", b"OggS\0\2" + bytes(20) + b"\1\7OpusHea", b"OggS" + bytes(23)),
    ],
)
def test_looking_for_pictures_takes_a_bounded_number_of_steps(key, head, part):
    data = head + part * 200_000
    part = range(len(data))
    steps = num_steps(lambda: pictures.patches(key, lambda at, size: data[at : at + size], part))
    assert steps < 40 * parts.MAX_PARTS
