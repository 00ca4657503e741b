"""How many bytes a file has lost between two packets."""

import io

import av
import numpy as np
import pytest
from clips import damage

from flamingo_pod.audio.damage.lost_bytes import (
    PACKETS_PER_CHECK,
    PagedBytes,
    SearchedBytes,
    StatedBytes,
)

FRAME_BYTES = 400
FRAMES = [np.random.default_rng(seed).bytes(FRAME_BYTES) for seed in range(64)]
PACKETS = [av.Packet(frame) for frame in FRAMES]
ID3 = b"ID3\x04\x00\x00\x00\x00\x08\x00" + bytes(1024)
APE = b"APETAGEX" + bytes(300)


def reading(data):
    return lambda at, size: data[at : at + size]


def searched(junk, num_before=3):
    """Return what was lost where `junk` is between two packets."""
    data = b"".join([*FRAMES[:num_before], junk, *FRAMES[num_before:]])
    lost = SearchedBytes(reading(data))
    for packet in PACKETS[:num_before]:
        lost.add(packet)
    return lost.before(PACKETS[num_before])


def test_packets_that_follow_one_another_have_lost_nothing():
    assert searched(b"") == 0


def test_bytes_that_no_packet_holds_are_lost():
    assert searched(bytes(5000)) == 5000
    assert searched(np.random.default_rng(99).bytes(700_000)) == 700_000


@pytest.mark.parametrize("tag", [ID3, APE, b"TAG" + bytes(125), APE + ID3])
def test_tags_between_packets_are_not_lost(tag):
    assert searched(tag) == 0


def test_nothing_is_lost_before_the_first_packet():
    lost = SearchedBytes(reading(bytes(500) + FRAMES[0]))
    assert lost.before(PACKETS[0]) == 0


def test_bytes_before_the_first_packet_do_not_count_later():
    lost = SearchedBytes(reading(bytes(500) + FRAMES[0] + FRAMES[1]))
    lost.add(PACKETS[0])
    assert lost.before(PACKETS[1]) == 0


def test_bytes_that_were_skipped_without_a_trace_are_found_within_a_few_packets():
    data = b"".join([*FRAMES[:3], bytes(2000), *FRAMES[3:]])
    lost = SearchedBytes(reading(data))
    for packet in PACKETS[: PACKETS_PER_CHECK + 1]:
        lost.add(packet)
    assert lost.has_lost
    assert lost.before(PACKETS[PACKETS_PER_CHECK + 1]) == 2000
    assert not lost.has_lost


def test_equal_frames_are_told_apart_by_their_ends():
    quiet = [b"\xff\xfb\x90\x00" + bytes(300) + bytes([number]) * 96 for number in range(4)]
    damaged = quiet[1][:350] + bytes(1050)
    lost = SearchedBytes(reading(quiet[0] + damaged + quiet[2] + quiet[3]))
    lost.add(av.Packet(quiet[0]))
    assert lost.before(av.Packet(quiet[2])) == len(damaged)


def test_a_packet_that_is_not_in_the_file_has_lost_nothing():
    lost = SearchedBytes(reading(FRAMES[0]))
    lost.add(PACKETS[0])
    assert lost.before(PACKETS[9]) == 0


def packets_of(data, container):
    with av.open(io.BytesIO(data), format=container) as source:
        return [packet for packet in source.demux(source.streams.audio[0]) if packet.size]


@pytest.mark.parametrize("kind", ["opus", "opus-of-libsndfile", "vorbis", "ogg-flac"])
def test_all_pages_of_a_whole_ogg_file_follow_one_another(kind):
    data = damage.made(kind)
    lost = PagedBytes(reading(data))
    for packet in packets_of(data, "ogg"):
        assert lost.before(packet) == 0
        lost.add(packet)
    assert lost.after_last(len(data)) == 0


@pytest.mark.parametrize("kind", ["opus", "vorbis"])
def test_pages_that_were_dropped_are_lost(kind):
    data = damage.hole(damage.made(kind), 0.4, 0.1)
    lost = PagedBytes(reading(data))
    most = 0
    for packet in packets_of(data, "ogg"):
        most = max(most, lost.before(packet))
        lost.add(packet)
    assert len(data) * 0.1 - 5000 < most < len(data) * 0.1 + 20_000


def test_a_chains_next_stream_has_lost_nothing():
    first, second = damage.made("opus", 5), damage.made("opus-of-libsndfile", 5)
    chain = first + second
    lost = PagedBytes(reading(chain))
    lost.add(packets_of(first, "ogg")[-1])
    for packet in packets_of(second, "ogg"):
        assert lost.before(packet) == 0


def test_pages_after_the_last_packet_are_lost():
    data = damage.made("opus")
    lost = PagedBytes(reading(data))
    for packet in packets_of(data, "ogg")[:100]:
        lost.add(packet)
    assert lost.after_last(len(data)) > len(data) / 2


def test_stated_places_show_what_was_skipped():
    packets = packets_of(damage.made("caf"), "caf")
    lost = StatedBytes(is_audio_last=True)
    assert lost.before(packets[0]) == 0
    lost.add(packets[0])
    assert lost.before(packets[1]) == 0
    assert lost.before(packets[3]) == packets[1].size + packets[2].size
    assert lost.after_last(packets[5].pos) == sum(packet.size for packet in packets[1:5])
    assert StatedBytes(is_audio_last=False).after_last(10**6) == 0


def test_packets_without_a_place_have_lost_nothing():
    lost = StatedBytes(is_audio_last=True)
    lost.add(PACKETS[0])
    assert (lost.before(PACKETS[1]), lost.after_last(10**6)) == (0, 0)
