"""Which jumps of timestamps are gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.audio.damage.timeline import Timeline


def started(**facts):
    """Return the timeline of a clip of which 5 s have been decoded, from timestamp 2 on."""
    timeline = Timeline(**facts)
    timeline.start(2.0)
    timeline.advance(5.0)
    return timeline


def gap(timeline, start_s, *, lost_s):
    jump_s = timeline.jump_s(start_s)
    return timeline.gap_s(jump_s, lost_s) if jump_s else 0.0


def test_a_frame_that_follows_has_no_jump():
    timeline = started()
    assert [timeline.jump_s(start_s) for start_s in (7.0, 7.004, 6.996, None)] == [0] * 4


def test_a_jump_after_a_loss_of_that_duration_is_a_gap():
    assert gap(started(), 7.8, lost_s=0.7) == pytest.approx(0.8)


def test_a_jump_without_a_loss_moves_the_origin():
    timeline = started()
    assert gap(timeline, 3600.0, lost_s=0) == 0
    assert timeline.jump_s(3600.0) == 0


@pytest.mark.parametrize("start_s", [7.8, 40.0, 3600.0, 2e9])
def test_a_jump_that_is_much_longer_than_what_was_lost_is_none(start_s):
    assert gap(started(), start_s, lost_s=0.1) == 0


def test_no_gap_goes_beyond_the_stated_end():
    assert gap(started(stated_s=10), 12.5, lost_s=5) == pytest.approx(5.5)
    assert gap(started(stated_s=10), 20.0, lost_s=20) == 0


def test_a_stated_end_that_has_passed_already_is_ignored():
    assert gap(started(stated_s=1), 8.0, lost_s=1) == pytest.approx(1)


def test_numbers_of_frames_are_believed_within_the_stated_length_only():
    assert gap(started(stated_s=30, is_numbered=True), 17.0, lost_s=0) == pytest.approx(10)
    assert gap(started(stated_s=30, is_numbered=True), 170.0, lost_s=0) == 0
    assert gap(started(is_numbered=True), 17.0, lost_s=0) == 0


def test_timestamps_that_restart_leave_out_nothing():
    timeline = started()
    assert gap(timeline, 7.5, lost_s=0.5) == pytest.approx(0.5)
    timeline.advance(0.5)
    assert gap(timeline, 0.0, lost_s=0) == 0


def test_a_damaged_packet_with_too_many_samples_is_shortened():
    timeline = started()
    assert gap(timeline, 6.96, lost_s=0.02) == pytest.approx(-0.04)
    assert gap(started(), 6.96, lost_s=0) == 0


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.02, 0.1)), max_size=50))
def test_no_timestamps_make_silence_unless_something_was_lost(frames):
    timeline = Timeline()
    for start_s, seconds in frames:
        assert gap(timeline, start_s, lost_s=0) == 0
        timeline.advance(seconds)
    assert timeline.position_s == pytest.approx(sum(seconds for _, seconds in frames))
