"""Low priority before busy pods: it waits in the router, and no live request waits for it."""

import random

import pytest
from fakes.balancing import admission_limits, load_report

from flamingo_common.errors import Overloaded
from flamingo_common.wire.priority import Priority
from flamingo_common.wire.report import LowLoadReport
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fair_queue import QueuedRequest
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.open_endpoints import LOW_QUEUE_S
from flamingo_router.balancing.policy import POLICIES
from flamingo_router.balancing.request_info import RequestInfo

ROUTE = "/v1/audio/captions"
A, B = "http://a", "http://b"
NO_LOW = {"backlog_s": 0.0, "queued_s": 0.0, "num_running": 0, "num_waiting": 0}


def load(*, low=NO_LOW, backlog_s=0.0, queued_s=0.0, sequence=1):
    known = None if low is None else LowLoadReport(**(NO_LOW | low))
    return load_report(
        backlog_s, queued_s=queued_s, low=known, window_s=0.3, token_s=0.001, sequence=sequence
    )


def balancer_before(*addresses, report=None, **limits):
    limits = {"queue_threshold_s": 30.0, "max_wait_s": 1e6} | limits
    fleet = Fleet(stale_after_s=1, unreachable_after_s=10)
    policy, chance = POLICIES["least-work-left"](), random.Random(1)
    balancer = Balancer(fleet, policy, admission_limits(**limits), chance, now_s=0.0)
    balancer.set_members(dict.fromkeys(addresses, True))
    for address in addresses:
        balancer.observe(address, report or load(), requested_s=0, now_s=0)
    return balancer


def asked(balancer, priority=Priority.NORMAL, *, now_s=0.0, audio_s=20.0, tenant=""):
    info = RequestInfo(ROUTE, audio_s, tenant=tenant, priority=priority)
    admitted = balancer.admit(info, now_s=now_s)
    if isinstance(admitted, Ticket):
        balancer.fleet.mark_sent(admitted, now_s=now_s)
    return admitted


def batch(balancer, number, **options):
    return [asked(balancer, Priority.LOW, **options) for _ in range(number)]


def test_low_priority_goes_to_a_pod_only_while_little_of_it_waits_there():
    balancer = balancer_before(A, B)
    tickets = [each for each in batch(balancer, 30) if isinstance(each, Ticket)]
    for address in (A, B):
        waiting_s = [each.cost.prefill_s for each in tickets if each.address == address]
        assert sum(waiting_s[:-1]) < LOW_QUEUE_S <= sum(waiting_s)
    assert len(balancer.queue.low) == 30 - len(tickets) > 20


def test_low_priority_in_a_pod_decoding_does_not_hold_back_more():
    decoding = {"backlog_s": 50.0, "num_running": 60}
    balancer = balancer_before(A, report=load(low=decoding, backlog_s=50.0))
    assert isinstance(asked(balancer, Priority.LOW), Ticket)


def test_a_live_request_goes_at_once_though_low_priority_fills_pods_and_queue():
    balancer = balancer_before(A, max_queued=20)
    with pytest.raises(Overloaded):
        batch(balancer, 30)
    assert isinstance(asked(balancer), Ticket)
    assert isinstance(asked(balancer, Priority.HIGH), Ticket)


def test_a_live_request_does_not_count_the_work_that_it_overtakes():
    low = {"backlog_s": 300.0, "queued_s": 100.0, "num_waiting": 90}
    balancer = balancer_before(A, report=load(low=low, backlog_s=300.0, queued_s=100.0))
    info = RequestInfo(ROUTE, 20.0, deadline_s=2.0)
    balancer.check_admission(info, now_s=0)
    assert isinstance(balancer.admit(info, now_s=0), Ticket)
    with pytest.raises(Overloaded):
        asked(balancer, Priority.LOW)


def test_a_live_request_goes_to_the_pod_where_the_least_live_work_is_ahead():
    balancer = balancer_before(A, B)
    low = {"backlog_s": 20.0, "queued_s": 0.4, "num_waiting": 9}
    busy = load(low=low, backlog_s=20.4, queued_s=0.4, sequence=2)
    live = load(backlog_s=9.0, queued_s=3.0, sequence=2)
    balancer.observe(A, busy, requested_s=0.1, now_s=0.1)
    balancer.observe(B, live, requested_s=0.1, now_s=0.1)
    assert asked(balancer, now_s=0.1).address == A


def test_pods_that_know_no_priorities_get_low_priority_only_while_little_waits_at_all():
    balancer = balancer_before(A, report=load(low=None, backlog_s=1.0, queued_s=1.0))
    place = asked(balancer, Priority.LOW)
    assert isinstance(place, QueuedRequest)
    live = asked(balancer)
    assert isinstance(live, Ticket)
    balancer.observe(A, load(low=None, sequence=2), requested_s=2, now_s=2)
    balancer.fleet.mark_responding(live, now_s=2)
    assert [queued for queued, _ in balancer.dispatch_waiting(now_s=2)] == [place]


def test_low_priority_has_its_place_at_a_pod_that_is_busy_with_live_requests():
    balancer = balancer_before(A, report=load(backlog_s=90.0, queued_s=40.0))
    assert isinstance(asked(balancer), QueuedRequest)
    assert isinstance(asked(balancer, Priority.LOW), Ticket)


def test_low_priority_that_waits_is_sent_when_that_before_it_has_been_prefilled():
    balancer = balancer_before(A)
    first, *others = batch(balancer, 10)
    assert balancer.dispatch_waiting(now_s=0.01) == []
    for ticket in [each for each in (first, *others) if isinstance(each, Ticket)]:
        balancer.fleet.mark_responding(ticket, now_s=0.02)
    assert len(balancer.dispatch_waiting(now_s=0.02)) >= 1
    assert balancer.recheck_after_s(now_s=0.02) <= 0.25


def test_a_batch_of_a_tenant_leaves_its_live_requests_their_share():
    balancer = balancer_before(A, B)
    asked(balancer, tenant="other")
    batch(balancer, 40, tenant="mine", now_s=0.1)
    assert isinstance(asked(balancer, tenant="mine", now_s=0.2, audio_s=5.0), Ticket)
