"""The quarantine of clips that crash pods."""

from flamingo_router.balancing import quarantine
from flamingo_router.balancing.quarantine import Quarantine


def test_a_clip_that_crashed_two_processes_is_blocked_for_a_while():
    blocked = Quarantine()
    blocked.record_crash("x", "a 1", now_s=0)
    blocked.record_crash("x", "a 1", now_s=1)
    assert blocked.blocked_for_s("x", now_s=1) == 0
    blocked.record_crash("x", "a 2", now_s=2)
    assert blocked.blocked_for_s("x", now_s=3) == quarantine.BLOCK_S - 1
    assert blocked.blocked_for_s("x", now_s=3 + quarantine.BLOCK_S) == 0
    assert blocked.blocked_for_s("y", now_s=3) == 0


def test_of_clips_that_two_pods_had_in_common_none_is_blocked_and_one_is_tried_at_a_time():
    shared = Quarantine()
    for pod in ("a", "b"):
        for clip in ("x", "y"):
            shared.record_crash(clip, pod, now_s=0)
    assert shared.blocked_for_s("x", now_s=1) == shared.blocked_for_s("y", now_s=1) == 0
    assert shared.begin_trial("x", now_s=1)
    assert not shared.begin_trial("y", now_s=1)
    assert shared.begin_trial("another", now_s=1)

    shared.clear("x")
    shared.end_trial("x")
    assert shared.blocked_for_s("y", now_s=1) == 0  # it is not blamed because x is innocent
    assert shared.begin_trial("y", now_s=1)
    shared.record_crash("y", "c", now_s=2)
    shared.end_trial("y")
    assert shared.blocked_for_s("y", now_s=2) == quarantine.BLOCK_S


def test_a_response_clears_a_clip_of_suspicion():
    blocked = Quarantine()
    blocked.record_crash("x", "a", now_s=0)
    blocked.clear("x")
    blocked.record_crash("x", "b", now_s=1)
    assert blocked.blocked_for_s("x", now_s=1) == 0


def test_suspects_are_bounded():
    blocked = Quarantine()
    for number in range(3 * quarantine.MAX_CLIPS):
        blocked.record_crash(str(number), "a", now_s=0)
        blocked.record_crash("x", str(number), now_s=0)
    assert len(blocked) == quarantine.MAX_CLIPS
    assert len(blocked._clips_of) == quarantine.MAX_PODS
