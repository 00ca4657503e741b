"""Which bytes between the frames of an AAC or MP3 file are tags."""

import numpy as np
import pytest
from clips import damage

from flamingo_pod.audio.containers import tags_between

FRAME = b"\xff\xf1\x50\x80" + bytes(413)
ID3V1 = b"TAG" + bytes(125)


def id3(content):
    size = bytes(len(content) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + content


COVER = id3(np.random.default_rng(1).bytes(100_000))
SMALL = id3(bytes(60))


def hidden(data, key="aac"):
    def read(at, size):
        return data[at : at + size]

    return [
        (patch.replaced.start, patch.replaced.stop)
        for patch in tags_between.patches(key, read, range(len(data)))
    ]


@pytest.mark.parametrize("tag", [COVER, SMALL, ID3V1, ID3V1 + SMALL, SMALL + SMALL])
def test_a_tag_between_two_frames_is_left_out_as_a_whole(tag):
    start = len(FRAME)
    assert hidden(FRAME + tag + FRAME) == [(start, start + len(tag))]
    assert hidden(FRAME + tag + FRAME, "wav") == []


def test_of_an_mp3_only_the_tags_that_ffmpeg_does_not_skip_are_left_out():
    start = len(FRAME)
    assert hidden(FRAME + SMALL + FRAME, "mp3") == []
    assert hidden(FRAME + ID3V1 + SMALL + FRAME, "mp3") == [(start, start + 128 + len(SMALL))]


def test_what_no_frame_follows_is_not_taken_for_a_tag():
    assert hidden(FRAME + SMALL) == []
    assert hidden(FRAME + b"TAG" + bytes(400) + FRAME) == []
    assert hidden(FRAME + b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + FRAME) == []


def test_a_tag_across_two_blocks_is_found():
    first = bytes(tags_between.BLOCK_BYTES - 4)
    assert hidden(first + SMALL + FRAME) == [(len(first), len(first) + len(SMALL))]


@pytest.mark.parametrize("tag", [COVER, SMALL, ID3V1 + SMALL], ids=["cover", "small", "both"])
@pytest.mark.parametrize("kind", ["adts", "mp3-cbr", "mp3-vbr"])
def test_joined_files_with_tags_sound_as_without(kind, tag):
    one = damage.made(kind, 3)
    plain = damage.decoded(one + one, allow_damaged=False)[1]
    result, samples = damage.decoded(one + tag + one, allow_damaged=False)
    assert result.missing_s == 0
    assert len(samples) == pytest.approx(len(plain), abs=1200)
    assert damage.has_click_at(samples, 5, within_s=0.12)
