"""The container of a file, by its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.audio import containers


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\x00\x00\x00\x00WAVE", "wav"),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"fLaC\x00", "flac"),
        (b"OggS\x00", "ogg"),
        (b"ID3\x04", None),
        (b"\xff\xfb\x90", "mp3"),
        (b"\xff\xf1\x50", "aac"),
        (b"\x00\x00\x00\x20ftypM4A ", "mov"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"#EXTM3U", None),
        (b"ffconcat", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_a_container_is_identified_by_its_first_bytes(head, container):
    assert containers.sniff(head) == container


def test_the_length_of_an_id3_tag_is_read_from_its_header():
    assert containers.id3_bytes(b"ID3\x04\0\0\0\0\x02\x01rest") == 10 + 257
    assert containers.id3_bytes(b"ID3\x04\0\x10\0\0\0\x01rest") == 10 + 1 + 10, "a footer"
    assert containers.id3_bytes(b"ID3\x04") == 0
    assert containers.id3_bytes(b"fLaC" + bytes(12)) == 0


@given(st.binary(max_size=64))
def test_any_bytes_can_be_sniffed(head):
    containers.sniff(head)
