"""The balancer: which pod gets a request, which requests queue, and which are refused."""

import math
import random
from dataclasses import replace

import pytest
from fakes.balancing import admission_limits, load_report
from fakes.effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flamingo_common.errors import NoEndpointReady, Overloaded, Unavailable
from flamingo_common.wire.report import RequestTiming
from flamingo_router.balancing.balancer import SAMPLE_SIZE, Balancer
from flamingo_router.balancing.fair_queue import QueuedRequest
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.fleet_report import fleet_report
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.policy import POLICIES
from flamingo_router.balancing.request_info import RequestInfo

ROUTE = "/v1/audio/captions"
A, B, C = "http://a", "http://b", "http://c"
SONG = RequestInfo(ROUTE, 600.0, "song")
CLIP = RequestInfo(ROUTE, 5.0, "clip")


def load(backlog_s=0.0, **changed):
    return load_report(backlog_s, **({"queued_s": 0.0, "window_s": 0.3} | changed))


def balancer_of(*addresses, policy="least-work-left", rng=None, **limits):
    balancer = Balancer(
        Fleet(stale_after_s=1, unreachable_after_s=10),
        POLICIES[policy](),
        admission_limits(**limits),
        rng or random.Random(1),
        now_s=0.0,
    )
    balancer.set_members(dict.fromkeys(addresses, True))
    return balancer


def ready(*addresses, **options):
    balancer = balancer_of(*addresses, **options)
    for address in addresses:
        balancer.observe(address, load(), requested_s=0, now_s=0)
    return balancer


def sent(balancer, ask, now_s=0.0):
    ticket = balancer.admit(ask, now_s=now_s)
    assert isinstance(ticket, Ticket)
    balancer.fleet.mark_sent(ticket, now_s=now_s)
    return ticket


def test_a_request_queues_only_while_every_pod_has_enough_to_prefill():
    balancer = ready(A, B)
    first, second = sent(balancer, SONG), sent(balancer, SONG)
    third = balancer.admit(CLIP, now_s=0)

    assert {first.address, second.address} == {A, B}
    assert isinstance(third, QueuedRequest)
    assert balancer.dispatch_waiting(now_s=0.1) == []

    balancer.fleet.mark_responding(first, now_s=0.2)
    ((queued, ticket),) = balancer.dispatch_waiting(now_s=0.2, among=[first.address])
    assert (queued, ticket.address) == (third, first.address)


def of(tenant, audio_s=20.0):
    return RequestInfo(ROUTE, audio_s, tenant=tenant)


def test_a_flood_of_one_tenant_waits_in_the_router_once_another_has_asked():
    balancer = ready(A, B, queue_threshold_s=30.0, max_queued=40, max_wait_s=1e6)
    sent(balancer, of("calm"))
    held = [balancer.admit(of("flood"), now_s=1) for _ in range(40)]
    assert sum(isinstance(each, QueuedRequest) for each in held) > 30

    place = balancer.admit(of("calm"), now_s=2)
    assert [queued for queued, _ in balancer.dispatch_waiting(now_s=2)] == [place]


def test_a_queue_that_one_tenant_has_filled_is_not_full_for_the_others():
    balancer = ready(A, queue_threshold_s=0.1, max_queued=10, max_wait_s=1e6)
    sent(balancer, of("flood"))
    for _ in range(10):
        balancer.admit(of("flood"), now_s=0)
    with pytest.raises(Overloaded, match="limit: 10"):
        balancer.admit(of("flood"), now_s=0)
    for _ in range(4):
        assert isinstance(balancer.admit(of("calm"), now_s=0), QueuedRequest)


def test_a_pod_becomes_free_by_itself_when_its_prefill_must_be_nearly_over():
    balancer = ready(A)
    balancer.observe(A, load(queued_s=0.9), requested_s=0, now_s=0)
    assert isinstance(balancer.admit(CLIP, now_s=0), QueuedRequest)

    assert balancer.recheck_after_s(now_s=0) <= 0.25
    assert balancer.dispatch_waiting(now_s=0.3) == []
    assert len(balancer.dispatch_waiting(now_s=0.45)) == 1


def test_each_question_about_a_clip_is_charged_for_its_answer_and_the_clip_once():
    balancer = ready(A, B, C)
    question = replace(CLIP, clip=None)
    one = sent(balancer, question).cost
    many = sent(balancer, replace(question, num_answers=8)).cost
    short = sent(balancer, replace(question, num_answers=8, max_tokens=80)).cost
    assert many.prefill_s == one.prefill_s
    assert many.decode_s == pytest.approx(8 * one.decode_s)
    assert one.decode_s > short.decode_s > 0


def test_decoding_does_not_make_a_pod_busy():
    balancer = ready(A)
    balancer.observe(A, load(backlog_s=60, sequence=2, num_running=20), requested_s=0, now_s=0)
    sent(balancer, CLIP)


def test_a_pod_with_a_queue_of_unreported_length_counts_as_busy():
    balancer = ready(A)
    report = load(60, sequence=2, queued_s=None, num_running=2, num_waiting=2)
    balancer.observe(A, report, requested_s=0, now_s=0)
    assert isinstance(balancer.admit(CLIP, now_s=0), QueuedRequest)


def test_a_pod_without_a_fresh_report_gets_nothing_while_another_has_one():
    balancer = ready(A, B)
    balancer.observe(B, load(queued_s=0.9, sequence=2), requested_s=2, now_s=2)

    assert isinstance(balancer.admit(CLIP, now_s=2), QueuedRequest)


def test_a_clip_goes_to_the_pod_that_has_it_cached_even_if_that_is_busy():
    balancer = ready(A, B)
    first = sent(balancer, SONG)
    other = B if first.address == A else A
    balancer.settle(first, now_s=1)
    for address, backlog_s in ((first.address, 1.0), (other, 0.0)):
        report = load(backlog_s, sequence=2, queued_s=backlog_s)
        balancer.observe(address, report, requested_s=5, now_s=5)

    assert sent(balancer, SONG, 5).address == first.address
    assert sent(balancer, CLIP, 5).address == other


def test_a_clip_is_not_worth_a_longer_wait_than_it_saves():
    balancer = ready(A, B)
    first = sent(balancer, SONG)
    balancer.settle(first, now_s=1)
    report = load(50.0, sequence=2, queued_s=50.0)
    balancer.observe(first.address, report, requested_s=5, now_s=5)
    balancer.observe(B if first.address == A else A, load(sequence=2), requested_s=5, now_s=5)

    assert sent(balancer, SONG, 5).address != first.address


def test_a_pod_without_room_for_the_keys_and_values_comes_last():
    balancer = ready(A, B)
    full = load(sequence=2, num_kv_tokens=30_000, num_kv_tokens_used=29_000)
    roomy = load(5.0, sequence=2, num_kv_tokens=30_000, num_kv_tokens_used=0)
    balancer.observe(A, full, requested_s=0, now_s=0)
    balancer.observe(B, roomy, requested_s=0, now_s=0)

    assert sent(balancer, SONG).address == B


def test_a_client_without_a_deadline_is_assumed_to_wait_for_its_response_only_so_long():
    balancer = ready(A, assumed_deadline_s=20.0)
    song = RequestInfo(ROUTE, 600.0)  # seven seconds
    sent(balancer, song)
    balancer.admit(song, now_s=0)
    with pytest.raises(Overloaded, match=r"limit: 1\d s"):
        balancer.admit(song, now_s=0)


def test_a_wait_that_would_be_too_long_is_refused_until_it_is_short_enough():
    balancer = ready(A, max_wait_s=60)
    song = RequestInfo(ROUTE, 600.0)  # seven seconds
    sent(balancer, song)
    for _ in range(8):
        balancer.admit(song, now_s=0)
    with pytest.raises(Overloaded) as refused:
        balancer.admit(song, now_s=0)
    assert 0 < refused.value.retry_after_s < 10
    with pytest.raises(Overloaded) as later:  # it is told to come back after the one before
        balancer.admit(song, now_s=0)
    assert later.value.retry_after_s > refused.value.retry_after_s
    assert isinstance(balancer.admit(CLIP, now_s=0), QueuedRequest)  # a short one would be next


@pytest.mark.parametrize("limit", [{"max_queued": 3}, {"max_queued_audio_s": 1500}])
def test_a_full_queue_refuses(limit):
    balancer = ready(A, **limit)
    for _ in range(4):
        balancer.admit(SONG, now_s=0)
    with pytest.raises(Overloaded, match="the request queue is full"):
        balancer.admit(SONG, now_s=0)


def test_a_deadline_is_refused_only_when_it_cannot_be_met():
    balancer = ready(A)
    sent(balancer, SONG)
    waits = RequestInfo(ROUTE, 60.0, deadline_s=30.0)
    assert isinstance(balancer.admit(waits, now_s=0), QueuedRequest)
    with pytest.raises(Overloaded):
        balancer.admit(RequestInfo(ROUTE, 60.0, deadline_s=3.0), now_s=0)


def test_a_deadline_counts_that_decoding_delays_the_prefill_before_it():
    balancer = ready(A, queue_threshold_s=30.0)
    ask = RequestInfo(ROUTE, 20.0, deadline_s=20.0)
    balancer.observe(A, load(18.0, queued_s=12.0, sequence=2), requested_s=0, now_s=0)
    assert isinstance(balancer.admit(ask, now_s=0), Ticket)
    balancer.observe(A, load(30.0, queued_s=12.0, sequence=3), requested_s=0, now_s=0)
    with pytest.raises(Overloaded):
        balancer.admit(ask, now_s=0)
    balancer.observe(A, load(60.0, queued_s=1.0, sequence=4), requested_s=0, now_s=0)
    assert isinstance(balancer.admit(ask, now_s=0), Ticket)  # a pod that decodes starts it at once


def test_requests_held_for_a_cold_start_are_dispatched_when_a_pod_is_ready():
    balancer = balancer_of(A, max_queued_audio_s=1000)
    queued = [balancer.admit(ask, now_s=0) for ask in (SONG, CLIP)]
    with pytest.raises(NoEndpointReady):
        balancer.admit(SONG, now_s=0)
    report = fleet_report(balancer, now_s=3)
    assert (report.cold, report.holding_s, report.queue.num, report.queue.audio_s) == (
        True,
        3,
        2,
        605,
    )
    assert report.arrivals[0].num > 0

    balancer.observe(A, load(), requested_s=4, now_s=4)
    ((first, _),) = balancer.dispatch_waiting(now_s=4, among=[A])[:1]
    assert first is queued[1]


def test_the_fleet_report_omits_the_names_of_clips():
    balancer = balancer_of(A)
    balancer.observe(A, load(clips=["c-1"]), requested_s=0, now_s=0)
    (endpoint,) = fleet_report(balancer, now_s=1).endpoints
    assert (endpoint.load, endpoint.num_clips) == (load(), 1)
    assert balancer.affinity.has_clip(A, "c-1")


def test_nothing_is_held_where_holding_is_turned_off():
    with pytest.raises(NoEndpointReady):
        balancer_of(A, cold_start_hold_s=0).admit(CLIP, now_s=0)


def test_a_removed_pod_finishes_its_requests_and_is_forgotten():
    balancer = ready(A, B)
    tickets = [sent(balancer, SONG), sent(balancer, SONG)]
    balancer.set_members({A: True, B: False})
    assert balancer.fleet.endpoint_at(B, now_s=0).reason == "removed"
    balancer.set_members({A: True})
    assert set(balancer.fleet.addresses) == {A, B}

    for ticket in tickets:
        balancer.settle(ticket, now_s=1)
    assert balancer.fleet.addresses == [A]

    balancer.set_members({A: True, B: True})
    assert set(balancer.fleet.addresses) == {A, B}


def test_a_pod_whose_address_changes_without_being_unready_is_found_at_the_new_one():
    balancer = ready(A)
    balancer.set_members({B: True})
    balancer.observe(B, load(), requested_s=1, now_s=1)

    assert balancer.fleet.addresses == [B]
    assert sent(balancer, CLIP, now_s=1).address == B


def test_a_pod_that_terminates_before_it_was_known_gets_no_request():
    balancer = balancer_of()
    balancer.set_members({A: False})
    assert balancer.fleet.addresses == []


def test_a_retry_goes_to_another_pod_and_does_not_queue():
    balancer = ready(A, B, C)
    first = sent(balancer, SONG)
    for _ in range(2):
        sent(balancer, SONG)
    second = balancer.reassign(SONG, without={first.address}, now_s=0)
    assert second.address != first.address
    with pytest.raises(NoEndpointReady):
        balancer.reassign(SONG, without={A, B, C}, now_s=0)


def test_a_slow_pod_gets_less_work_than_the_others():
    balancer, count = ready(A, B, C), {A: 0, B: 0, C: 0}
    for number in range(200):
        for address in (A, B, C):
            slowdown = 3 if address == A else 1
            timing = RequestTiming(
                number=number,
                route=ROUTE,
                num_windows=1 + number % 3,
                num_tokens=100,
                compute_s=slowdown * 0.3 * (1 + number % 3),
            )
            report = load(sequence=number + 2, timings=[timing])
            balancer.observe(address, report, requested_s=0, now_s=0)
    assert balancer.costs.slowdown(A) > 2 * balancer.costs.slowdown(B)
    for _ in range(70):
        count[balancer.reassign(RequestInfo(ROUTE, 60.0), without=(), now_s=0).address] += 1
    assert 5 <= count[A] <= 15


class CountingRandom(random.Random):
    def __init__(self, seed):
        super().__init__(seed)
        self.sample_sizes = []

    def sample(self, population, k):
        self.sample_sizes.append(k)
        return super().sample(population, k)


def test_a_large_fleet_is_sampled():
    addresses = [f"http://{number}" for number in range(500)]
    rng = CountingRandom(1)
    balancer = ready(*addresses, rng=rng)
    sent(balancer, CLIP)
    assert rng.sample_sizes == [SAMPLE_SIZE]


def test_a_large_fleet_with_one_ready_pod_finds_it():
    addresses = [f"http://{number}" for number in range(500)]
    balancer = balancer_of(*addresses)
    balancer.observe(addresses[400], load(), requested_s=0, now_s=0)
    assert sent(balancer, CLIP).address == addresses[400]


class AnyCourseOfEvents(RuleBasedStateMachine):
    """Any course of events loses no request, promises none twice, and ends idle."""

    @initialize(policy=st.sampled_from(list(POLICIES)))
    def start(self, policy):
        self.balancer = ready(A, B, C, policy=policy, cold_start_hold_s=10, max_queued=20)
        self.now_s, self.sequence = 0.0, 1
        self.queued, self.in_flight, self.num_admitted, self.num_over = set(), set(), 0, 0

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(audio_s=st.floats(0, 1200), clip=st.sampled_from(["x", "y", None]))
    def ask(self, audio_s, clip):
        try:
            admitted = self.balancer.admit(RequestInfo(ROUTE, audio_s, clip), now_s=self.now_s)
        except Unavailable:
            return
        self.num_admitted += 1
        (self.in_flight if isinstance(admitted, Ticket) else self.queued).add(admitted)

    @rule()
    def dispatch(self):
        for queued, ticket in self.balancer.dispatch_waiting(now_s=self.now_s):
            self.queued.remove(queued)
            self.in_flight.add(ticket)

    @rule(data=st.data())
    def cancel(self, data):
        if self.queued:
            queued = data.draw(st.sampled_from(sorted(self.queued)))
            self.balancer.cancel(queued)
            self.queued.remove(queued)
            self.num_over += 1

    @rule(data=st.data(), what=st.sampled_from(["sent", "answered", "settled"]))
    def advance(self, data, what):
        if not self.in_flight:
            return
        ticket = data.draw(st.sampled_from(sorted(self.in_flight, key=lambda each: each.number)))
        if what == "sent":
            self.balancer.fleet.mark_sent(ticket, now_s=self.now_s)
        elif what == "answered":
            self.balancer.fleet.mark_responding(ticket, now_s=self.now_s)
        else:
            self.balancer.settle(ticket, now_s=self.now_s)
            self.in_flight.remove(ticket)
            self.num_over += 1

    @rule(
        address=st.sampled_from([A, B, C]),
        backlog_s=st.floats(0, 200),
        state=st.sampled_from(["ready", "ready", "ready", "draining"]),
    )
    def report(self, address, backlog_s, state):
        self.sequence += 1
        report = load(backlog_s, sequence=self.sequence, state=state, queued_s=backlog_s / 2)
        self.balancer.observe(address, report, requested_s=self.now_s, now_s=self.now_s)

    @rule(removed=st.sets(st.sampled_from([A, B, C]), max_size=2))
    def change(self, removed):
        self.balancer.set_members(dict.fromkeys({A, B, C} - removed, True))

    @rule(address=st.sampled_from([A, B, C]))
    def fail(self, address):
        self.balancer.fleet.record_failure(address, sent_s=self.now_s, now_s=self.now_s)

    @invariant()
    def every_request_is_in_one_place(self):
        assert len(self.balancer.queue) == len(self.queued)
        assert self.balancer.fleet.num_in_flight == len(self.in_flight)
        assert self.num_admitted == self.num_over + len(self.queued) + len(self.in_flight)

    @invariant()
    def the_report_is_sane(self):
        for each in fleet_report(self.balancer, now_s=self.now_s).endpoints:
            assert 0 <= each.queued_s < math.inf
            assert 0 <= each.backlog_s < math.inf
            assert each.ready == (each.reason == "")

    def teardown(self):
        for ticket in self.in_flight:
            self.balancer.settle(ticket, now_s=self.now_s)
        for queued in self.queued:
            self.balancer.cancel(queued)
        assert (len(self.balancer.queue), self.balancer.fleet.num_in_flight) == (0, 0)


AnyCourseOfEvents.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=40, deadline=None
)
test_any_course_of_events_loses_no_request = AnyCourseOfEvents.TestCase


def test_a_request_for_decisions_costs_as_much_as_it_has_questions():
    balancer = balancer_of("a:1", policy="least-work-left")
    costs = [
        balancer._prior_s(RequestInfo("/v1/decisions", num_questions=num)) for num in (0, 1, 400)
    ]
    assert costs[1] < costs[0] < costs[2]


HELD = RequestInfo(ROUTE, 600.0, "song", held="held song")


def holding(*addresses, **options):
    balancer = ready(A, B, **options)
    for address in (A, B):
        clips = {"held song": 600.0} if address in addresses else {}
        report = load(held_clips=clips, sequence=2)
        balancer.observe(address, report, requested_s=0.1, now_s=0.1)
    return balancer


def test_a_request_with_only_the_id_of_a_clip_goes_where_that_is_held_however_busy():
    balancer = holding(B, queue_threshold_s=1000)
    for _ in range(5):
        assert sent(balancer, HELD, now_s=0.1).address == B


def test_a_holder_at_capacity_is_a_reason_to_wait_and_not_one_to_send_the_clip_again():
    balancer = holding(B, max_backlog_s=60)
    report = load(100.0, sequence=3, held_clips={"held song": 600.0})
    balancer.observe(B, report, requested_s=0.2, now_s=0.2)
    assert [each.address for each in balancer.holders(HELD, now_s=0.2)] == [B]
    with pytest.raises(Overloaded):
        balancer.admit(HELD, now_s=0.2)


def test_such_a_request_that_had_to_wait_goes_there_too():
    balancer = holding(B)
    sent(balancer, SONG, now_s=0.1)
    sent(balancer, SONG, now_s=0.1)
    queued = balancer.admit(HELD, now_s=0.1)
    assert isinstance(queued, QueuedRequest)
    for address in (A, B):
        clips = {"held song": 600.0} if address == B else {}
        report = load(10.0 * (address == B), sequence=3, held_clips=clips)
        balancer.observe(address, report, requested_s=50.0, now_s=50.0)
    [(dispatched, ticket)] = balancer.dispatch_waiting(now_s=50.0)
    assert (dispatched, ticket.address) == (queued, B)


def test_without_a_holder_any_pod_may_say_that_it_holds_no_such_clip():
    balancer = holding()
    assert balancer.holders(HELD, now_s=0.1) == []
    assert sent(balancer, HELD, now_s=0.1).address in {A, B}


def test_it_is_retried_only_where_the_clip_is_held():
    assert holding(A, B).reassign(HELD, without=[A], now_s=0.1).address == B
    with pytest.raises(NoEndpointReady):
        holding(A).reassign(HELD, without=[A], now_s=0.1)
