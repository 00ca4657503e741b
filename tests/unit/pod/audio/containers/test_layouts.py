"""Channel layouts that PyAV cannot represent are hidden, and the audio is decoded."""

import struct

import pytest
from fakes.tagged_files import SECONDS, encoded

from flamingo_common.audio import sniff
from flamingo_pod.audio import sound_file
from flamingo_pod.audio.containers import layouts

CONTAINERS = {"aiff": (b"CHAN", 8), "caf": (b"chan", 12), "mov": (b"chan", 8)}
"""The name of the part with the layout, and where in it the layout is."""
OWN_ORDER = {121: "5.1 as L R C LFE Ls Rs", 1: "a bit mask"}
OTHER_ORDER = {
    0: "a description of each channel", 122: "5.1 as L R Ls Rs C LFE", 124: "5.1 as C L R …",
    139: "6.0", 110: "hexagonal",
}  # fmt: skip


def with_layout(container, number):
    """Return a file of six channels with this layout."""
    data = bytearray(encoded(container, "pcm_s16be", layout="5.1"))
    name, offset = CONTAINERS[container]
    at = data.rindex(name) + offset
    data[at : at + 8] = struct.pack(">HHI", number, 0 if number < 2 else 6, 0x3F)
    return bytes(data)


def found(data):
    key = sniff.sniff_bytes(data).format.key
    return layouts.patches(key, lambda at, size: data[at : at + size], range(len(data)))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("number", OWN_ORDER, ids=OWN_ORDER.get)
def test_a_layout_in_ffmpegs_order_is_left(container, number):
    data = with_layout(container, number)
    assert found(data) == []
    assert len(sound_file.decode_bytes(data, 60)) == SECONDS * 16_000


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("number", OTHER_ORDER, ids=OTHER_ORDER.get)
def test_a_layout_in_another_order_is_hidden(container, number):
    data = with_layout(container, number)
    (patch,) = found(data)
    name, _ = CONTAINERS[container]

    assert data[patch.replaced.start : patch.replaced.stop] == name
    assert len(sound_file.decode_bytes(data, 60)) == SECONDS * 16_000


def test_positions_of_single_channels_in_an_mp4_are_hidden():
    data = encoded("mp4", "pcm_s16be", layout="5.1")
    at = data.index(b"chnl")
    assert data[at + 8 : at + 10] == b"\1\0", "positions, and no layout of a list"
    (patch,) = found(data)
    assert patch.replaced.start == at
    assert len(sound_file.decode_bytes(data, 60)) == SECONDS * 16_000


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("size", [3, 30, 90, 400])
def test_a_truncated_file_is_left_to_ffmpeg(container, size):
    data = with_layout(container, 124)[-size:]
    read = lambda at, num: data[at : at + num]  # noqa: E731
    assert isinstance(layouts.patches("caf", read, range(size)), list)
