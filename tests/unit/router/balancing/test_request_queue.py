"""The queue of the router: low priority is behind live requests, and in none of their sums."""

from flamingo_common.wire.priority import Priority
from flamingo_router.balancing.fair_queue import QueuedRequest, queue_order
from flamingo_router.balancing.ledger import Owner
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.balancing.request_queue import RequestQueue


def queued(priority=Priority.NORMAL, *, tenant="", cost_s=1.0, since_s=0.0):
    info = RequestInfo("/v1/audio/captions", cost_s, tenant=tenant, priority=priority)
    return QueuedRequest(info, cost_s, since_s)


def queue_of(*some):
    queue = RequestQueue()
    for each in some:
        queue.push(each)
    return queue


def any_may_go(owner):
    return isinstance(owner, Owner)


def test_a_live_request_precedes_low_priority_however_long_that_has_waited():
    low, live, high = queued(Priority.LOW), queued(since_s=1000), queued(Priority.HIGH, since_s=999)
    queue = queue_of(low, live, high)
    assert [queue.pop(any_may_go) for _ in range(4)] == [high, live, low, None]


def test_what_may_go_depends_on_tenant_and_kind():
    low, live = queued(Priority.LOW, tenant="a"), queued(tenant="a")
    queue = queue_of(low, live)
    assert queue.pop(lambda owner: owner == Owner("b", is_low=True)) is None
    assert queue.pop(lambda owner: owner == Owner("a", is_low=True)) is low
    assert queue.pop(lambda owner: owner == Owner("a", is_low=False)) is live


def test_low_priority_is_in_no_sum_that_concerns_live_requests():
    batch = [queued(Priority.LOW, tenant="a", cost_s=5.0) for _ in range(10)]
    queue = queue_of(*batch, queued(tenant="a"), queued(tenant="b", cost_s=3.0))
    live, low = (queued(each, tenant="a").info for each in (Priority.NORMAL, Priority.LOW))
    order = queue_order(live, 2.0, 1.0)

    assert queue.counted(live) == (2, 4.0)
    assert queue.counted(low) == (12, 54.0)
    assert (queue.of(live), queue.of(low)) == ((1, 1.0), (11, 51.0))
    assert queue.work_before_s(live, order) <= 4.0
    assert queue.work_before_s(low, queue_order(low, 1.0, 1000.0)) == 54.0
    assert (len(queue), queue.work_s, queue.audio_s) == (12, 54.0, 54.0)


def test_a_batch_does_not_count_against_the_live_requests_of_its_tenant():
    queue = queue_of(*(queued(Priority.LOW, tenant="a", cost_s=50.0) for _ in range(5)))
    for _ in range(5):
        queue.pop(any_may_go)
    mine, other = queued(tenant="a"), queued(tenant="b")
    queue.push(mine)
    queue.push(other)
    assert [queue.pop(any_may_go) for _ in range(2)] == [mine, other]


def test_a_cancelled_request_leaves_its_queue():
    low = queued(Priority.LOW)
    queue = queue_of(low)
    queue.remove(low)
    assert not queue
    assert queue.oldest_since_s() is None
