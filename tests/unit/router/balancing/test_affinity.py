"""Affinity: which pod is believed to have which clip cached."""

from flamingo_router.balancing import affinity
from flamingo_router.balancing.affinity import Affinity


def test_a_clip_counts_as_cached_where_it_was_sent_until_a_report_contradicts():
    clips = Affinity()
    clips.record_sent("a", "x", now_s=0)
    assert clips.pods_with("x") == {"a"}

    clips.observe("a", "1", [], requested_s=100)  # it reports none: the router remembers
    assert clips.has_clip("a", "x")
    clips.observe("a", "1", ["y"], requested_s=1)  # too soon for x to be cached
    assert clips.has_clip("a", "x")
    assert clips.has_clip("a", "y")
    clips.observe("a", "1", ["y"], requested_s=affinity.MAX_CACHING_DELAY_S + 1)
    assert not clips.has_clip("a", "x")


def test_a_pod_that_restarted_has_nothing_cached():
    clips = Affinity()
    clips.record_sent("a", "x", now_s=0)
    clips.observe("a", "1", ["x"], requested_s=1)
    clips.observe("a", "2", [], requested_s=2)
    assert not clips.has_clip("a", "x")


def test_what_is_remembered_of_a_pod_is_bounded_and_forgotten_with_it():
    clips = Affinity()
    for number in range(affinity.MAX_SENT + 10):
        clips.record_sent("a", str(number), now_s=number)
    assert not clips.has_clip("a", "9")
    assert clips.has_clip("a", "10")
    clips.forget("a")
    assert not clips.has_clip("a", "10")
