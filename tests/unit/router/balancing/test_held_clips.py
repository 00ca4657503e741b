"""Which pod holds which clip, from reports and from responses since."""

from flamingo_router.balancing.held_clips import HeldClip, HeldClips

A, B = "http://a", "http://b"
SONG = HeldClip(180.0, "song's name")


def test_a_response_counts_until_a_report_that_was_requested_after_it():
    held = HeldClips()
    held.observe(A, "1", {}, requested_s=1.0)
    held.record(A, "song", SONG, now_s=2.0)
    assert (held.holders("song"), held.find("song")) == ([A], SONG)
    held.observe(A, "1", {}, requested_s=1.5)
    assert held.holders("song") == [A], "the report is older than the response"
    held.observe(A, "1", {}, requested_s=2.5)
    assert (held.holders("song"), held.find("song")) == ([], None)


def test_reports_tell_what_other_routers_have_sent():
    held = HeldClips()
    held.observe(A, "1", {}, requested_s=1.0)
    held.observe(B, "1", {"song": 60.0}, requested_s=1.0)
    assert held.holders("song") == [B]
    assert held.find("song") == HeldClip(60.0, "song")


def test_the_clips_of_a_process_end_with_it():
    held = HeldClips()
    held.record(A, "song", SONG, now_s=2.0)
    held.observe(A, "1", {"song": 60.0}, requested_s=1.0)
    held.observe(A, "2", {}, requested_s=1.5)
    assert held.holders("song") == []
    held.forget(A)
    assert held.holders("song") == []


def test_a_pod_that_does_not_say_can_hold_any_clip():
    held = HeldClips()
    held.observe(A, "1", None, requested_s=1.0)
    held.observe(B, "1", {}, requested_s=1.0)
    assert held.holders("song") == [A]
    assert held.find("song") is None
