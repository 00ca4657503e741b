"""How much silence belongs before a frame: what counts as a loss, and what does not."""

from fractions import Fraction

import av
import numpy as np
import pytest

from flamingo_pod.audio.damage.gaps import CountedGaps, TimedGaps
from flamingo_pod.audio.damage.lost_bytes import SearchedBytes, StatedBytes
from flamingo_pod.audio.damage.timeline import Timeline

RATE_HZ = 48_000
FRAME_SAMPLES = 1152
FRAME_S = FRAME_SAMPLES / RATE_HZ
FRAMES = [b"\xff" + np.random.default_rng(seed).bytes(399) for seed in range(40)]
ID3 = b"ID3\x04\x00\x00\x00\x00\x08\x00" + bytes(1024)


def counted(*pieces):
    """Return the finder of a file of these pieces, and a packet of each one that is a frame."""
    data = b"".join(pieces)
    packets = [av.Packet(piece) for piece in pieces if piece.lstrip(b"\0")[:1] == b"\xff"]
    return CountedGaps(SearchedBytes(lambda at, size: data[at : at + size])), packets


def go(gaps, packet, pts=None, num_samples=FRAME_SAMPLES, rate_hz=RATE_HZ):
    """Go past a packet that decodes to one frame; return the seconds of silence before it."""
    gap_s = 0.0
    if not gaps.follows(packet, pts, num_samples, rate_hz):
        start_s = None if pts is None else pts * gaps.tick_s
        gap_s = gaps.before(packet, start_s, rate_hz)
        if gap_s > 0:
            gaps.add_gap(gap_s)
        gaps.add_frame(num_samples, rate_hz)
    gaps.add_packet(packet)
    return gap_s


def test_frames_without_timestamps_that_follow_one_another_have_no_gap():
    gaps, packets = counted(*FRAMES)
    assert [go(gaps, packet) for packet in packets] == [0] * len(FRAMES)
    assert gaps.position_s == pytest.approx(len(FRAMES) * FRAME_S)


def test_as_many_frames_are_missing_as_fit_into_the_lost_bytes():
    gaps, packets = counted(*FRAMES[:10], bytes(2000), *FRAMES[10:])
    for packet in packets[:10]:
        go(gaps, packet)
    gaps.add_failed(av.Packet(bytes(2000)))
    assert go(gaps, packets[10]) == pytest.approx(5 * FRAME_S)
    assert go(gaps, packets[11]) == 0


def test_a_hole_that_ffmpeg_skips_without_a_failure_is_found_later():
    gaps, packets = counted(*FRAMES[:10], bytes(2000), *FRAMES[10:])
    assert sum(go(gaps, packet) for packet in packets) == pytest.approx(5 * FRAME_S)


def test_zeros_in_front_of_a_frame_in_its_packet_are_a_hole():
    joined = bytes(1200) + FRAMES[10]
    gaps, packets = counted(*FRAMES[:10], joined, *FRAMES[11:])
    assert [round(go(gaps, packet) / FRAME_S) for packet in packets[:12]] == [0] * 10 + [3, 0]


def test_tags_between_the_frames_of_joined_files_are_no_gap():
    gaps, packets = counted(*FRAMES[:10], ID3, *FRAMES[10:])
    for packet in packets[:10]:
        go(gaps, packet)
    gaps.add_failed(av.Packet(ID3))
    assert go(gaps, packets[10]) == 0


def test_what_fails_before_the_first_frame_is_no_gap():
    gaps, packets = counted(bytes(4000), *FRAMES)
    gaps.add_failed(av.Packet(bytes(4000)))
    assert go(gaps, packets[0]) == 0


def test_noise_that_is_taken_for_a_frame_does_not_change_the_length_of_one():
    gaps, packets = counted(*FRAMES[:10], bytes(2000), *FRAMES[10:])
    for packet in packets[:9]:
        go(gaps, packet)
    go(gaps, packets[9], num_samples=1152, rate_hz=11_025)
    gaps.add_failed(av.Packet(bytes(2000)))
    assert go(gaps, packets[10]) == pytest.approx(5 * FRAME_S)


def test_a_shorter_first_frame_does_not_count_as_the_length_of_one():
    gaps, packets = counted(*FRAMES[:10], bytes(2000), *FRAMES[10:])
    go(gaps, packets[0], num_samples=47)
    for packet in packets[1:10]:
        go(gaps, packet)
    gaps.add_failed(av.Packet(bytes(2000)))
    assert go(gaps, packets[10]) == pytest.approx(5 * FRAME_S)


def timed(stated_s=None):
    return TimedGaps(
        timeline=Timeline(stated_s), container="matroska", tick_s=0.001, bytes_per_s=0.0,
        lost=StatedBytes(is_audio_last=False), pages=None, is_frame_size_constant=True,
    )  # fmt: skip


def packet_at(pts, size=400, duration=24):
    packet = av.Packet(bytes(size))
    packet.pts, packet.duration, packet.time_base = pts, duration, Fraction(1, 1000)
    return packet


def run(gaps, *starts_ms):
    return [go(gaps, packet_at(start_ms), start_ms) for start_ms in starts_ms]


@pytest.mark.parametrize(
    "starts_ms",
    [
        (0, 24, 48, 72),
        (0, 23, 49, 73, 95, 121),  # rounded or jittering
        (3_600_000, 3_600_024, 3_600_048),  # a live stream, joined late
        (0, 24, 48, 0, 24, 48),  # one file after another
        (0, 24, 500_000, 500_024),  # a clock that was set
        (-24, 0, 24, 48),  # priming
        (0, 24, 148, 172),  # silence that the recorder left out
    ],
)
def test_jumps_of_timestamps_without_a_loss_are_no_gap(starts_ms):
    gaps = timed()
    assert run(gaps, *starts_ms) == [0] * len(starts_ms)
    assert gaps.position_s == pytest.approx(len(starts_ms) * FRAME_S)


def test_packets_that_failed_are_a_gap_of_their_duration():
    gaps = timed()
    run(gaps, 0, 24)
    for start_ms in (48, 72, 96):
        gaps.add_failed(packet_at(start_ms))
    assert run(gaps, 120, 144) == [pytest.approx(0.072), 0]


def test_a_failure_explains_a_gap_of_its_duration_only():
    gaps = timed()
    run(gaps, 0, 24)
    gaps.add_failed(packet_at(48))
    assert run(gaps, 50_000) == [0]


def test_packets_that_failed_before_the_first_frame_are_a_gap_at_the_start():
    gaps = timed()
    for start_ms in (0, 24):
        gaps.add_failed(packet_at(start_ms))
    assert run(gaps, 48, 72) == [pytest.approx(0.048), 0]


def test_packets_that_failed_at_the_end_are_missing_there():
    gaps = timed()
    run(gaps, 0, 24, 48)
    gaps.add_failed(packet_at(72))
    assert gaps.lost_at_end_s(10**6) == pytest.approx(0.024)


def test_no_frame_without_a_timestamp_is_placed_before_the_next_one():
    assert timed().is_unsure(packet_at(None), None)
    assert not timed().is_unsure(packet_at(0), 0)
