"""The fair queue: which request is next, between tenants and within one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.wire.priority import Priority
from flamingo_router.balancing.fair_queue import AGING, FairQueue, QueuedRequest, queue_order
from flamingo_router.balancing.request_info import RequestInfo

ROUTE = "/v1/audio/captions"


def queued(cost_s=1.0, *, since_s=0.0, **options):
    return QueuedRequest(RequestInfo(ROUTE, audio_s=cost_s, **options), cost_s, since_s)


def popped(queue):
    return [queue.pop() for _ in range(len(queue))]


def queue_of(*some):
    queue = FairQueue()
    for each in some:
        queue.push(each)
    return queue


def test_the_shortest_is_next():
    long, short, middle = queued(60), queued(1), queued(5)
    assert popped(queue_of(long, short, middle)) == [short, middle, long]


def test_a_request_that_has_waited_long_enough_precedes_a_shorter_one():
    long = queued(10, since_s=0)
    just_before, just_after = (queued(1, since_s=9 * AGING + offset) for offset in (-0.01, 0.01))
    assert popped(queue_of(just_before, long, just_after)) == [just_before, long, just_after]


def test_priority_orders_the_requests_of_one_tenant():
    low, normal, high = (
        queued(tenant="a", priority=each) for each in (Priority.LOW, Priority.NORMAL, Priority.HIGH)
    )
    assert popped(queue_of(low, normal, high)) == [high, normal, low]


def test_marking_all_requests_urgent_gains_nothing_over_others():
    urgent = [queued(tenant="a", priority=Priority.HIGH) for _ in range(20)]
    others = [queued(tenant="b") for _ in range(20)]
    first = popped(queue_of(*urgent, *others))[:20]

    assert sum(each.info.tenant == "b" for each in first) == 10


def test_tenants_share_by_work_and_weight_not_by_requests():
    many_short = [queued(1, tenant="a") for _ in range(400)]
    few_long = [queued(20, tenant="b", weight=3.0) for _ in range(20)]
    queue = queue_of(*many_short, *few_long)
    given_s = {"a": 0.0, "b": 0.0}
    while given_s["a"] + given_s["b"] < 400:
        each = queue.pop()
        given_s[each.info.tenant] += each.cost_s

    assert given_s["b"] / given_s["a"] == pytest.approx(3, rel=0.2)


def test_a_tenant_that_pauses_gets_no_credit_for_it():
    queue = queue_of(*[queued(1, tenant="a") for _ in range(100)])
    for _ in range(50):
        queue.pop()
    for _ in range(50):
        queue.push(queued(1, tenant="b"))

    assert sum(queue.pop().info.tenant == "b" for _ in range(20)) in (9, 10, 11)


def test_an_empty_queue_has_no_next_request():
    assert FairQueue().pop() is None


def test_the_next_request_is_one_of_a_tenant_that_may_go():
    queue = queue_of(queued(1, tenant="a"), queued(2, tenant="b"))
    assert queue.pop(lambda tenant: tenant == "c") is None
    assert queue.pop(lambda tenant: tenant == "b").info.tenant == "b"


def test_the_work_before_a_request_is_what_its_tenants_virtual_time_lets_go_first():
    flood = [queued(1, tenant="a") for _ in range(100)]
    queue = queue_of(*flood)
    info = RequestInfo(ROUTE, 1.0, tenant="b")
    assert queue.work_before_s(info, queue_order(info, 1.0, 0)) == 0

    queue.push(queued(1, tenant="b"))
    assert queue.work_before_s(info, queue_order(info, 1.0, 0)) == 2  # its own, and one of a
    of_a = RequestInfo(ROUTE, 1.0, tenant="a")
    assert queue.work_before_s(of_a, queue_order(of_a, 1.0, 0)) == 101


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_no_request_is_lost_or_counted_twice(some):
    queue, stay = FairQueue(), []
    for cost_s, tenant, leaves in some:
        each = queued(cost_s, tenant=tenant)
        queue.push(each)
        if leaves:
            queue.remove(each)
            queue.remove(each)
        else:
            stay.append(each)
    assert len(queue) == len(stay)
    assert queue.work_s == pytest.approx(sum(each.cost_s for each in stay), abs=1e-6)
    assert set(popped(queue)) == set(stay)
    assert (len(queue), queue.work_s, queue.audio_s, queue.oldest_since_s()) == (0, 0, 0, None)


def test_cancelled_requests_fill_no_memory():
    queue = queue_of(queued(0.5))
    for _ in range(10_000):
        each = queued(1)
        queue.push(each)
        queue.remove(each)
    assert len(queue._tenants[""].heap) < 50
