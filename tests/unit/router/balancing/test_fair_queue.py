"""Who waits, who is next, who is where: the pure parts behind the balancer."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import BadRequest
from flamingo_router.balancing import affinity, ejection, quarantine
from flamingo_router.balancing.affinity import Affinity
from flamingo_router.balancing.arrivals import Arrivals
from flamingo_router.balancing.ejection import Health
from flamingo_router.balancing.fair_queue import PATIENCE, FairQueue, Waiting
from flamingo_router.balancing.quarantine import Quarantine
from flamingo_router.balancing.request_info import Ask, Priority
from flamingo_router.balancing.retry_budget import RetryBudget
from flamingo_router.request import hints
from flamingo_router.request.clip_name import clip_name
from flamingo_router.request.scan import SAMPLE_BYTES, Sample

ROUTE = "/v1/audio/captions"


def waiting(cost_s=1.0, *, since_s=0.0, **told):
    return Waiting(Ask(ROUTE, audio_s=cost_s, **told), cost_s, since_s)


def popped(queue):
    return [queue.pop() for _ in range(queue.num)]


def queue_of(*some):
    queue = FairQueue()
    for each in some:
        queue.push(each)
    return queue


def test_the_shortest_is_next():
    long, short, middle = waiting(60), waiting(1), waiting(5)
    assert popped(queue_of(long, short, middle)) == [short, middle, long]


def test_who_has_waited_long_enough_comes_before_a_shorter_one():
    long = waiting(10, since_s=0)
    just_before, just_after = (
        waiting(1, since_s=9 * PATIENCE + offset) for offset in (-0.01, 0.01)
    )
    assert popped(queue_of(just_before, long, just_after)) == [just_before, long, just_after]


def test_priority_orders_what_one_tenant_asks():
    low, normal, high = (
        waiting(tenant="a", priority=each)
        for each in (Priority.LOW, Priority.NORMAL, Priority.HIGH)
    )
    assert popped(queue_of(low, normal, high)) == [high, normal, low]


def test_who_calls_all_urgent_gains_nothing_over_others():
    urgent = [waiting(tenant="a", priority=Priority.HIGH) for _ in range(20)]
    others = [waiting(tenant="b") for _ in range(20)]
    first = popped(queue_of(*urgent, *others))[:20]

    assert sum(each.ask.tenant == "b" for each in first) == 10


def test_tenants_share_by_work_and_weight_not_by_requests():
    many_short = [waiting(1, tenant="a") for _ in range(400)]
    few_long = [waiting(20, tenant="b", weight=3.0) for _ in range(20)]
    queue = queue_of(*many_short, *few_long)
    given_s = {"a": 0.0, "b": 0.0}
    while given_s["a"] + given_s["b"] < 400:
        each = queue.pop()
        given_s[each.ask.tenant] += each.cost_s

    assert given_s["b"] / given_s["a"] == pytest.approx(3, rel=0.2)


def test_who_comes_back_after_a_pause_claims_nothing_for_it():
    queue = queue_of(*[waiting(1, tenant="a") for _ in range(100)])
    for _ in range(50):
        queue.pop()
    for _ in range(50):
        queue.push(waiting(1, tenant="b"))

    assert sum(queue.pop().ask.tenant == "b" for _ in range(20)) in (9, 10, 11)


def test_nobody_is_next_in_an_empty_queue():
    with pytest.raises(IndexError):
        FairQueue().pop()


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_nobody_is_lost_or_counted_twice(some):
    queue, stay = FairQueue(), []
    for cost_s, tenant, leaves in some:
        each = waiting(cost_s, tenant=tenant)
        queue.push(each)
        if leaves:
            queue.remove(each)
            queue.remove(each)
        else:
            stay.append(each)
    assert queue.num == len(stay)
    assert queue.seconds == pytest.approx(sum(each.cost_s for each in stay), abs=1e-6)
    assert set(popped(queue)) == set(stay)
    assert (queue.num, queue.seconds, queue.audio_s, queue.oldest_s()) == (0, 0, 0, None)


def test_those_that_give_up_fill_no_memory():
    queue = queue_of(waiting(0.5))
    for _ in range(10_000):
        each = waiting(1)
        queue.push(each)
        queue.remove(each)
    assert len(queue._tenants[""].heap) < 50


def test_a_clip_is_held_where_it_was_sent_until_the_pod_says_otherwise():
    held = Affinity()
    held.place("a", "x", now_s=0)
    assert held.holders("x") == {"a"}

    held.observe("a", "1", [], asked_s=100)  # it does not tell: believed
    assert held.holds("a", "x")
    held.observe("a", "1", ["y"], asked_s=1)  # too soon for x to be there
    assert held.holds("a", "x")
    assert held.holds("a", "y")
    held.observe("a", "1", ["y"], asked_s=affinity.GRACE_S + 1)
    assert not held.holds("a", "x")


def test_a_pod_that_started_anew_holds_nothing():
    held = Affinity()
    held.place("a", "x", now_s=0)
    held.observe("a", "1", ["x"], asked_s=1)
    held.observe("a", "2", [], asked_s=2)
    assert not held.holds("a", "x")


def test_what_is_remembered_of_a_pod_is_bounded_and_forgotten_with_it():
    held = Affinity()
    for number in range(affinity.MAX_PLACED + 10):
        held.place("a", str(number), now_s=number)
    assert not held.holds("a", "9")
    assert held.holds("a", "10")
    held.forget("a")
    assert not held.holds("a", "10")


SONG = bytes(range(256)) * 256


def test_a_clip_has_one_name_whatever_is_asked_about_it():
    def name(total_bytes, head=SONG, tenant=""):
        return clip_name(Sample(head, total_bytes), total_bytes / 16_000, tenant=tenant)

    as_json, as_form = name(3_000_000, SONG[: SAMPLE_BYTES // 3 * 3]), name(3_000_200)
    assert as_json == as_form
    assert name(6_000_000) != as_form
    assert name(3_000_000, SONG[::-1]) != as_form
    assert name(3_000_000, tenant="a") != as_form
    assert clip_name(None, 0, tenant="") is None


def test_short_clips_are_told_apart_by_all_they_are():
    one, other = (clip_name(Sample(b"x" * n, n), 0.5, tenant="") for n in (1000, 1001))
    assert one != other


def test_failures_in_a_row_eject_for_longer_each_time():
    health, now_s, times = Health(), 0.0, []
    for _ in range(3):
        while not health.note_failure(now_s=now_s):
            pass
        times.append(health.until_s - now_s)
        now_s = health.until_s
    assert times == [10, 20, 40]
    for _ in range(20):
        health.eject(now_s=0)
    assert health.until_s == ejection.MAX_S


def test_an_answer_ends_a_row_of_failures():
    health = Health()
    for _ in range(50):
        health.note_failure(now_s=0)
        health.note_success()
    assert health.until_s == -math.inf


@given(st.lists(st.booleans(), max_size=12))
def test_ejection_never_takes_more_than_half(are_out):
    healths = {str(n): Health(until_s=10.0 if out else 0.0) for n, out in enumerate(are_out)}
    out = ejection.ejected(healths, now_s=5)

    assert len(out) <= len(healths) / 2
    if 0 < sum(are_out) <= len(are_out) / 2:
        assert len(out) == sum(are_out)


def test_the_odd_one_is_slow_and_of_two_nobody_is():
    assert ejection.slow({"a": 1.0, "b": 1.1, "c": 5.0}) == ["c"]
    assert ejection.slow({"a": 1.0, "c": 5.0}) == ()
    assert ejection.slow({"a": 5.0, "b": 5.1, "c": 4.9}) == []


def test_a_clip_is_held_back_for_a_while_once_two_processes_broke_with_it():
    held_back = Quarantine()
    held_back.blame("x", "a 1", now_s=0)
    held_back.blame("x", "a 1", now_s=1)
    assert held_back.left_s("x", now_s=1) == 0
    held_back.blame("x", "a 2", now_s=2)
    assert held_back.left_s("x", now_s=3) == quarantine.HOLD_S - 1
    assert held_back.left_s("x", now_s=3 + quarantine.HOLD_S) == 0
    assert held_back.left_s("y", now_s=3) == 0


def test_an_answer_clears_a_clip_of_suspicion():
    held_back = Quarantine()
    held_back.blame("x", "a", now_s=0)
    held_back.acquit("x")
    held_back.blame("x", "b", now_s=1)
    assert held_back.left_s("x", now_s=1) == 0


def test_suspects_are_bounded():
    held_back = Quarantine()
    for number in range(3 * quarantine.MAX_CLIPS):
        held_back.blame(str(number), "a", now_s=0)
    assert len(held_back) == quarantine.MAX_CLIPS


@pytest.mark.parametrize(
    ("num_open", "num_pods", "expected"), [(0, 9, 3), (100, 9, 20), (16, 2, 8)]
)
def test_retries_have_a_budget(num_open, num_pods, expected):
    budget = RetryBudget()
    budget.see(num_open, now_s=0)
    taken = sum(budget.take(num_pods=num_pods) for _ in range(200))
    assert taken == expected

    budget.give_back()
    assert budget.take(num_pods=num_pods)
    assert not budget.take(num_pods=num_pods)


def test_arrivals_are_told_per_second_of_each_window():
    arrivals, dice = Arrivals(since_s=0.0), random.Random(1)
    for second in range(600):
        for _ in range(2):
            arrivals.note(30.0 if second >= 540 else 10.0, 1.0, now_s=second + dice.random())

    minute, five = (arrivals.rate(window_s, now_s=600) for window_s in (60, 300))
    assert minute.audio_s == pytest.approx(60, rel=0.1)
    assert five.audio_s == pytest.approx((20 * 240 + 60 * 60) / 300, rel=0.1)
    assert (minute.num, minute.work_s) == pytest.approx((2, 2), rel=0.1)
    assert arrivals.rate(60, now_s=2000).num == 0


def test_a_router_that_just_started_tells_what_it_has_seen():
    arrivals = Arrivals(since_s=1000.0)
    for tenth in range(100):
        arrivals.note(5.0, 0.5, now_s=1000 + tenth / 10)
    assert arrivals.rate(300, now_s=1010).audio_s == pytest.approx(50, rel=0.1)


@pytest.mark.parametrize(
    ("body", "max_tokens", "is_stream"),
    [
        (b'{"model": "m", "max_tokens": 16, "stream": true, "messages": [', 16, True),
        (b'{"max_completion_tokens":64,"n":4,"stream":false}', 256, False),
        (b'{"n": 999, "max_tokens": 1}', 8, False),
        (rb'{"messages": [{"content": "say \"max_tokens\": 9, \"stream\": true"}]}', None, False),
        (b'--x\r\nContent-Disposition: form-data; name="max_tokens"\r\n\r\n32\r\n--x', 32, False),
        (b'--x\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--x', None, True),
        (b'--x\r\nname="request"\r\n\r\n{"max_tokens": 7, "stream": true}\r\n', 7, True),
        (b"", None, False),
        (b'"max_tokens" "stream"', None, False),
    ],
)
def test_hints_are_read_where_they_stand(body, max_tokens, is_stream):
    assert hints.hints_of(body) == hints.Hints(max_tokens, is_stream)


@given(st.binary(max_size=300))
def test_no_body_breaks_the_hints(body):
    hints.hints_of(b'"max_tokens":' + body + b'"stream"')


def test_headers_say_priority_and_deadline():
    told = {"x-flamingo-priority": " High ", "x-flamingo-deadline-ms": "1500"}
    ask = hints.ask_of(ROUTE, told, now_s=10)

    assert ask == Ask(ROUTE, priority=Priority.HIGH, deadline_s=11.5)
    assert hints.ask_of(ROUTE, {}, now_s=10) == Ask(ROUTE)
    with pytest.raises(BadRequest):
        hints.ask_of(ROUTE, {"x-flamingo-priority": "0"}, now_s=0)
