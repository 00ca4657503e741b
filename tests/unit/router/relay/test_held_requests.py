"""Requests with the id of a clip: when the router knows that no pod holds it."""

import random

import pytest
from fakes.balancing import admission_limits, load_report

from flamingo_common.errors import ClipNotHeld
from flamingo_common.wire import clip_ids
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.policy import LeastWorkLeft
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.relay import held_requests
from flamingo_router.request import audio_length

A, B = "http://a", "http://b"
CLIP_ID = clip_ids.PREFIX + "0a" * clip_ids.ID_BYTES
NAME = clip_ids.held_name(CLIP_ID, b"")
ASKED = RequestInfo("/v1/chat/completions", clip_field="messages[0].content[1]")


def balancer_of(*addresses):
    fleet = Fleet(stale_after_s=1, unreachable_after_s=10)
    balancer = Balancer(fleet, LeastWorkLeft(), admission_limits(), random.Random(1), now_s=0.0)
    balancer.set_members(dict.fromkeys(addresses, True))
    return balancer


def with_clip(balancer, now_s=0.0):
    return held_requests.with_clip(balancer, ASKED, CLIP_ID, now_s=now_s)


def is_refused(balancer, now_s=0.0):
    """Return whether the clip is refused, with the field that has its id."""
    try:
        with_clip(balancer, now_s)
    except ClipNotHeld as error:
        return error.param == ASKED.clip_field
    return False


def test_without_a_pod_no_clip_is_held():
    assert is_refused(balancer_of())


def test_a_pod_that_was_not_polled_yet_can_hold_it():
    balancer = balancer_of(A)
    info, audio = with_clip(balancer)
    assert (info.held, audio) == (NAME, audio_length.ASSUMED)


def test_a_pod_that_cannot_be_polled_holds_nothing():
    balancer = balancer_of(A)
    balancer.fleet.mark_unreported(A)
    assert is_refused(balancer)


def test_a_pod_that_loads_its_model_holds_nothing():
    balancer = balancer_of(A)
    report = load_report(state="loading", held_clips={})
    balancer.observe(A, report, requested_s=0.0, now_s=0.0)
    assert is_refused(balancer)


def test_a_pod_that_has_died_holds_nothing_any_more():
    balancer = balancer_of(A)
    balancer.observe(A, load_report(held_clips={NAME: 60.0}), requested_s=0.0, now_s=0.0)
    info, audio = with_clip(balancer)
    assert (info.held, audio.seconds) == (NAME, 60.0)
    assert is_refused(balancer, now_s=60.0)


@pytest.mark.parametrize("holds", [True, False])
def test_beside_a_pod_that_was_not_polled_the_others_are_asked(holds):
    balancer = balancer_of(A, B)
    clips = {NAME: 60.0} if holds else {}
    balancer.observe(A, load_report(held_clips=clips), requested_s=0.0, now_s=0.0)
    assert with_clip(balancer)[0].held == NAME, "the pod that gets it says what is true"


def test_an_id_beside_a_clip_is_sent_to_the_pod_that_holds_it():
    balancer = balancer_of(A, B)
    balancer.observe(A, load_report(held_clips={}), requested_s=0.0, now_s=0.0)
    balancer.observe(B, load_report(held_clips={NAME: 60.0}), requested_s=0.0, now_s=0.0)
    sent = held_requests.with_holders(balancer, ASKED, CLIP_ID, now_s=0.0)
    assert [each.address for each in balancer.holders(sent, now_s=0.0)] == [B]


def test_an_unknown_id_beside_a_clip_leaves_the_choice_to_the_clip():
    balancer = balancer_of(A)
    balancer.observe(A, load_report(held_clips={}), requested_s=0.0, now_s=0.0)
    assert held_requests.with_holders(balancer, ASKED, CLIP_ID, now_s=0.0) is ASKED
    assert held_requests.with_holders(balancer, ASKED, None, now_s=0.0) is ASKED
