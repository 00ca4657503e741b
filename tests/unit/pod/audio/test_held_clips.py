"""The clips that a pod holds: whose they are, how much there is, and what goes first."""

import pytest
from fakes.effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flamingo_common.errors import Overloaded
from flamingo_pod.audio import held_clips
from flamingo_pod.audio.held_clips import HeldClips
from flamingo_pod.audio.memory_budget import MemoryBudget
from flamingo_pod.audio.memory_file import MemoryFile

ALICE, BOB = b"alice", b"bob"


FILES = []


@pytest.fixture(autouse=True)
def close_files():
    yield
    while FILES:
        FILES.pop().close()


def new_clip(name, num_bytes=10, *, owner=ALICE, now_s=0.0):
    file = MemoryFile()
    FILES.append(file)
    file.write(bytes(num_bytes))
    return held_clips.new_clip(owner, name, file, 1.0, now_s=now_s)


def hold(held, name, num_bytes=10, *, owner=ALICE, now_s=0.0, **options):
    clip = new_clip(name, num_bytes, owner=owner, now_s=now_s)
    return clip if held.put(owner, clip, now_s=now_s, **options) else None


def names(held, owner=ALICE):
    return [clip_id for each, clip_id in held._clips if each == owner]


def test_a_clip_belongs_to_its_owner_alone():
    held = HeldClips(100, 60)
    hold(held, "song")
    assert held.get(BOB, "song", now_s=1) is None
    assert held.get(ALICE, "song", now_s=1).id == "song"
    assert (held.num_queries, held.num_hits) == (2, 1)
    [name] = held.report(now_s=1)
    assert name != "song", "a report does not name ids, by which clips are asked for"


def test_what_was_used_least_recently_goes_first_and_its_samples_before_its_file():
    held = HeldClips(100, 60)
    old, new = hold(held, "old"), hold(held, "new")
    held.add_decoded(old, "a", "samples", 30)
    held.add_decoded(new, "a", "samples", 30)
    assert held.num_bytes == 80
    hold(held, "newest", 30)
    assert (old.find_decoded("a"), new.find_decoded("a")) == (None, "samples")
    assert names(held) == ["old", "new", "newest"]
    hold(held, "next", 30)
    assert names(held) == ["new", "newest", "next"]
    assert not old.is_held
    with pytest.raises(ValueError, match="closed"):
        old.file.write(b"d")


def test_a_request_that_is_using_a_clip_keeps_its_bytes_when_it_is_evicted():
    held = HeldClips(15, 60)
    copy = hold(held, "song").file.duplicate()
    hold(held, "other")
    assert names(held) == ["other"]
    assert copy.read_and_close() == bytes(10)


def test_a_clip_expires_after_its_last_use():
    held = HeldClips(100, 60)
    hold(held, "song")
    assert held.find(ALICE, "song", now_s=59) is not None
    assert held.find(ALICE, "song", now_s=118) is not None
    assert held.find(ALICE, "song", now_s=179) is None
    assert held.num_bytes == 0


def test_a_clip_of_low_priority_displaces_nothing_and_goes_first():
    held = HeldClips(100, 60)
    hold(held, "song", 60)
    low = hold(held, "line", 30, is_low=True)
    held.add_decoded(low, "a", "samples", 30)
    assert low.find_decoded("a") is None
    assert hold(held, "another line", 30, is_low=True) is None
    hold(held, "new song", 30)
    assert names(held) == ["song", "new song"]


def test_a_clip_that_does_not_fit_is_not_held_and_neither_is_a_second_copy():
    held = HeldClips(100, 60)
    assert hold(held, "album", 101) is None
    assert hold(held, "song") is not None
    assert hold(held, "song") is None
    assert names(held) == ["song"]
    assert HeldClips(0, 60).is_enabled is False


def test_the_number_of_clips_is_limited_to_what_a_report_has():
    held = HeldClips(100, 60, max_clips=2)
    for name in "abc":
        hold(held, name)
    assert names(held) == ["b", "c"]


def test_held_clips_yield_to_requests_and_never_have_one_rejected():
    held = HeldClips(100, 60)
    budget = MemoryBudget(100, held=held)
    hold(held, "song", 60)
    hold(held, "other", 30)
    with budget.reservation() as reservation:
        reservation.add(60)
        assert names(held) == ["other"]
        reservation.add(40)
        assert names(held) == []
        with pytest.raises(Overloaded):
            reservation.add(1)


class HeldMachine(RuleBasedStateMachine):
    """Whatever happens, the limit holds and the sum is right."""

    def __init__(self):
        super().__init__()
        self.held, self.now_s = HeldClips(100, 10, max_clips=5), 0.0

    clip_names = st.sampled_from("abcdefgh")

    @rule(name=clip_names, size=st.integers(1, 120), is_low=st.booleans())
    def put(self, name, size, is_low):
        hold(self.held, name, size, now_s=self.now_s, is_low=is_low)

    @rule(name=clip_names, how=st.sampled_from("xy"), size=st.integers(1, 120))
    def decode(self, name, how, size):
        clip = self.held.find(ALICE, name, now_s=self.now_s)
        if clip is not None:
            self.held.add_decoded(clip, how, how, size)

    @rule()
    def evict(self):
        self.held.evict()

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds):
        self.now_s += seconds

    def teardown(self):
        while self.held.evict():
            pass
        while FILES:
            FILES.pop().close()

    @invariant()
    def is_within_the_limit(self):
        clips = self.held._clips.values()
        assert sum(clip.num_bytes for clip in clips) == self.held.num_bytes <= 100
        assert len(clips) <= 5
        assert all(clip.is_held for clip in clips)


TestHeldMachine = HeldMachine.TestCase
TestHeldMachine.settings = settings(max_examples=examples(100), deadline=None)


def test_a_clip_is_found_by_the_url_that_its_owner_used_last():
    held, url = HeldClips(100, 60), "https://a.example/clip.mp3?secret=1"
    old, new = hold(held, "old"), hold(held, "new")
    held.set_url(ALICE, old, url, '"1"')
    assert held.find_url(ALICE, url, now_s=1) is old
    assert held.find_url(BOB, url, now_s=1) is None
    assert held.find_url(ALICE, url + "2", now_s=1) is None
    assert url.encode() not in repr(held._ids).encode(), "a URL can contain a secret"

    held.set_url(ALICE, new, url, '"2"')
    assert held.find_url(ALICE, url, now_s=1) is new
    held.evict()
    assert (names(held), held.find_url(ALICE, url, now_s=1)) == (["new"], new)
    held.evict()
    assert (held.find_url(ALICE, url, now_s=1), held._ids) == (None, {})
    held.set_url(ALICE, new, url, '"2"')
    assert held._ids == {}, "it is not held any more"
