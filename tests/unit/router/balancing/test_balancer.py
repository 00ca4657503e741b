"""Who gets what, who waits and who is refused: the balancer as a whole, without a socket."""

import math
import random

import pytest
from fakes.effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flamingo_common.errors import NoEndpointReady, Overloaded, Unavailable
from flamingo_common.wire.report import LoadReport, RequestTiming
from flamingo_router.balancing.balancer import NUM_LOOKED_AT, Balancer, Bounds, Dice
from flamingo_router.balancing.fair_queue import Waiting
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.fleet_report import fleet_report
from flamingo_router.balancing.ledger import Ticket
from flamingo_router.balancing.policy import POLICIES
from flamingo_router.balancing.request_info import Ask

ROUTE = "/v1/audio/captions"
A, B, C = "http://a", "http://b", "http://c"
SONG = Ask(ROUTE, 600.0, "song")
CLIP = Ask(ROUTE, 5.0, "clip")


def load(backlog_s=0.0, *, sequence=1, **fields):
    told = {
        "model": "m",
        "state": "ready",
        "epoch": "1",
        "sequence": sequence,
        "backlog_s": backlog_s,
        "queued_s": 0.0,
        "num_running": 0,
        "num_waiting": 0,
        "window_s": 0.3,
    }
    return LoadReport(**(told | fields))


def balancer_of(*addresses, policy="least-work-left", **bounds):
    dice = random.Random(1)
    fleet = Fleet(stale_after_s=1, unreachable_after_s=10)
    balancer = Balancer(
        fleet,
        POLICIES[policy](),
        Bounds(**{"queue_threshold_s": 0.5} | bounds),
        Dice(dice.random, dice.sample),
        now_s=0.0,
    )
    balancer.reconcile(dict.fromkeys(addresses, True))
    return balancer


def ready(*addresses, **options):
    balancer = balancer_of(*addresses, **options)
    for address in addresses:
        balancer.observe(address, load(), asked_s=0, now_s=0)
    return balancer


def sent(balancer, ask, now_s=0.0):
    ticket = balancer.ask(ask, now_s=now_s)
    assert isinstance(ticket, Ticket)
    balancer.fleet.mark_sent(ticket, now_s=now_s)
    return ticket


def test_a_request_waits_only_while_every_pod_has_enough_to_prefill():
    balancer = ready(A, B)
    first, second = sent(balancer, SONG), sent(balancer, SONG)
    third = balancer.ask(CLIP, now_s=0)

    assert {first.address, second.address} == {A, B}
    assert isinstance(third, Waiting)
    assert balancer.pump(now_s=0.1) == []

    balancer.fleet.mark_answered(first, now_s=0.2)
    ((waiting, ticket),) = balancer.pump(now_s=0.2, among=[first.address])
    assert (waiting, ticket.address) == (third, first.address)


def test_a_pod_becomes_free_by_itself_when_its_prefill_must_be_nearly_over():
    balancer = ready(A)
    balancer.observe(A, load(queued_s=0.9), asked_s=0, now_s=0)
    assert isinstance(balancer.ask(CLIP, now_s=0), Waiting)

    assert balancer.wake_s(now_s=0) <= 0.25
    assert balancer.pump(now_s=0.3) == []
    assert len(balancer.pump(now_s=0.45)) == 1


def test_decoding_keeps_nobody_out():
    balancer = ready(A)
    balancer.observe(A, load(backlog_s=60, sequence=2, num_running=20), asked_s=0, now_s=0)
    sent(balancer, CLIP)


def test_a_pod_that_queues_and_does_not_say_how_much_counts_as_busy():
    balancer = ready(A)
    told = load(60, sequence=2, queued_s=None, num_running=2, num_waiting=2)
    balancer.observe(A, told, asked_s=0, now_s=0)
    assert isinstance(balancer.ask(CLIP, now_s=0), Waiting)


def test_a_silent_pod_gets_nothing_while_another_speaks():
    balancer = ready(A, B)
    balancer.observe(B, load(queued_s=0.9, sequence=2), asked_s=2, now_s=2)

    assert isinstance(balancer.ask(CLIP, now_s=2), Waiting)


def test_a_clip_goes_to_the_pod_that_holds_it_even_if_that_is_busy():
    balancer = ready(A, B)
    first = sent(balancer, SONG)
    other = B if first.address == A else A
    balancer.settle(first, now_s=1)
    for address, backlog_s in ((first.address, 1.0), (other, 0.0)):
        told = load(backlog_s, sequence=2, queued_s=backlog_s)
        balancer.observe(address, told, asked_s=5, now_s=5)

    assert sent(balancer, SONG, 5).address == first.address
    assert sent(balancer, CLIP, 5).address == other


def test_a_clip_is_not_worth_a_longer_wait_than_it_saves():
    balancer = ready(A, B)
    first = sent(balancer, SONG)
    balancer.settle(first, now_s=1)
    told = load(50.0, sequence=2, queued_s=50.0)
    balancer.observe(first.address, told, asked_s=5, now_s=5)
    balancer.observe(B if first.address == A else A, load(sequence=2), asked_s=5, now_s=5)

    assert sent(balancer, SONG, 5).address != first.address


def test_a_pod_without_room_for_the_keys_and_values_comes_last():
    balancer = ready(A, B)
    full = load(sequence=2, num_kv_tokens=30_000, num_kv_tokens_used=29_000)
    roomy = load(5.0, sequence=2, num_kv_tokens=30_000, num_kv_tokens_used=0)
    balancer.observe(A, full, asked_s=0, now_s=0)
    balancer.observe(B, roomy, asked_s=0, now_s=0)

    assert sent(balancer, SONG).address == B


def test_a_wait_that_would_be_too_long_is_refused_with_its_length():
    balancer = ready(A, max_wait_s=60)
    song = Ask(ROUTE, 600.0)  # seven seconds
    sent(balancer, song)
    for _ in range(8):
        balancer.ask(song, now_s=0)
    with pytest.raises(Overloaded) as refused:
        balancer.ask(song, now_s=0)
    assert 60 < refused.value.retry_after_s < 70
    assert isinstance(balancer.ask(CLIP, now_s=0), Waiting)  # a short one would be next


@pytest.mark.parametrize("bound", [{"max_queued": 3}, {"max_queued_audio_s": 1500}])
def test_no_more_waits_than_may(bound):
    balancer = ready(A, **bound)
    for _ in range(4):
        balancer.ask(SONG, now_s=0)
    with pytest.raises(Overloaded, match="as much waits"):
        balancer.ask(SONG, now_s=0)


def test_a_deadline_is_refused_only_when_it_cannot_be_met():
    balancer = ready(A)
    sent(balancer, SONG)
    waits = Ask(ROUTE, 60.0, deadline_s=30.0)
    assert isinstance(balancer.ask(waits, now_s=0), Waiting)
    with pytest.raises(Overloaded):
        balancer.ask(Ask(ROUTE, 60.0, deadline_s=3.0), now_s=0)


def test_what_is_held_for_a_first_pod_goes_out_when_it_is_ready():
    balancer = balancer_of(A, max_queued_audio_s=1000)
    held = [balancer.ask(ask, now_s=0) for ask in (SONG, CLIP)]
    with pytest.raises(NoEndpointReady):
        balancer.ask(SONG, now_s=0)
    report = fleet_report(balancer, now_s=3)
    assert (report.cold, report.holding_s, report.queue.num, report.queue.audio_s) == (
        True,
        3,
        2,
        605,
    )
    assert report.arrivals[0].num > 0

    balancer.observe(A, load(), asked_s=4, now_s=4)
    ((first, _),) = balancer.pump(now_s=4, among=[A])[:1]
    assert first is held[1]


def test_the_fleet_is_told_without_the_names_of_clips():
    balancer = balancer_of(A)
    balancer.observe(A, load(clips=["c-1"]), asked_s=0, now_s=0)
    (endpoint,) = fleet_report(balancer, now_s=1).endpoints
    assert (endpoint.load, endpoint.num_clips) == (load(), 1)
    assert balancer.affinity.holds(A, "c-1")


def test_nothing_is_held_where_that_is_not_wanted():
    with pytest.raises(NoEndpointReady):
        balancer_of(A, cold_start_hold_s=0).ask(CLIP, now_s=0)


def test_a_pod_that_leaves_finishes_what_it_has_and_is_forgotten():
    balancer = ready(A, B)
    tickets = [sent(balancer, SONG), sent(balancer, SONG)]
    balancer.reconcile({A: True, B: False})
    assert balancer.fleet.endpoint(B, now_s=0).reason == "leaving"
    balancer.reconcile({A: True})
    assert set(balancer.fleet.addresses) == {A, B}

    for ticket in tickets:
        balancer.settle(ticket, now_s=1)
    assert balancer.fleet.addresses == [A]

    balancer.reconcile({A: True, B: True})
    assert set(balancer.fleet.addresses) == {A, B}


def test_a_pod_whose_address_changes_without_being_unready_is_found_at_the_new_one():
    balancer = ready(A)
    balancer.reconcile({B: True})
    balancer.observe(B, load(), asked_s=1, now_s=1)

    assert balancer.fleet.addresses == [B]
    assert sent(balancer, CLIP, now_s=1).address == B


def test_one_that_terminates_before_it_was_known_is_never_asked():
    balancer = balancer_of()
    balancer.reconcile({A: False})
    assert balancer.fleet.addresses == []


def test_another_try_goes_elsewhere_and_does_not_wait():
    balancer = ready(A, B, C)
    first = sent(balancer, SONG)
    for _ in range(2):
        sent(balancer, SONG)
    second = balancer.again(SONG, without={first.address}, now_s=0)
    assert second.address != first.address
    with pytest.raises(NoEndpointReady):
        balancer.again(SONG, without={A, B, C}, now_s=0)


def test_a_slow_pod_gets_less_work_than_the_others():
    balancer, count = ready(A, B, C), {A: 0, B: 0, C: 0}
    for number in range(200):
        for address in (A, B, C):
            slowness = 3 if address == A else 1
            timing = RequestTiming(
                number=number,
                route=ROUTE,
                num_windows=1 + number % 3,
                num_tokens=100,
                compute_s=slowness * 0.3 * (1 + number % 3),
            )
            told = load(sequence=number + 2, timings=[timing])
            balancer.observe(address, told, asked_s=0, now_s=0)
    assert balancer.costs.speed(A) > 2 * balancer.costs.speed(B)
    for _ in range(70):
        count[balancer.again(Ask(ROUTE, 60.0), without=(), now_s=0).address] += 1
    assert 5 <= count[A] <= 15


def test_a_large_fleet_is_looked_at_in_part():
    addresses = [f"http://{number}" for number in range(500)]
    balancer = ready(*addresses)
    drawn = []
    balancer._dice = Dice(lambda: 0.5, lambda some, num: drawn.append(num) or some[:num])
    sent(balancer, CLIP)
    assert drawn == [NUM_LOOKED_AT]


def test_a_large_fleet_with_one_ready_pod_finds_it():
    addresses = [f"http://{number}" for number in range(500)]
    balancer = balancer_of(*addresses)
    balancer.observe(addresses[400], load(), asked_s=0, now_s=0)
    assert sent(balancer, CLIP).address == addresses[400]


class Router(RuleBasedStateMachine):
    """Any course of events loses no request, promises none twice and ends with nothing open."""

    @initialize(policy=st.sampled_from(list(POLICIES)))
    def start(self, policy):
        self.balancer = ready(A, B, C, policy=policy, cold_start_hold_s=10, max_queued=20)
        self.now_s, self.sequence = 0.0, 1
        self.waiting, self.open, self.num_asked, self.num_over = set(), set(), 0, 0

    @rule(seconds=st.floats(0, 4))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(audio_s=st.floats(0, 1200), clip=st.sampled_from(["x", "y", None]))
    def ask(self, audio_s, clip):
        try:
            asked = self.balancer.ask(Ask(ROUTE, audio_s, clip), now_s=self.now_s)
        except Unavailable:
            return
        self.num_asked += 1
        (self.open if isinstance(asked, Ticket) else self.waiting).add(asked)

    @rule()
    def pump(self):
        for waiting, ticket in self.balancer.pump(now_s=self.now_s):
            self.waiting.remove(waiting)
            self.open.add(ticket)

    @rule(data=st.data())
    def give_up(self, data):
        if self.waiting:
            waiting = data.draw(st.sampled_from(sorted(self.waiting)))
            self.balancer.give_up(waiting)
            self.waiting.remove(waiting)
            self.num_over += 1

    @rule(data=st.data(), what=st.sampled_from(["sent", "answered", "settled"]))
    def go_on(self, data, what):
        if not self.open:
            return
        ticket = data.draw(st.sampled_from(sorted(self.open, key=lambda each: each.number)))
        if what == "sent":
            self.balancer.fleet.mark_sent(ticket, now_s=self.now_s)
        elif what == "answered":
            self.balancer.fleet.mark_answered(ticket, now_s=self.now_s)
        else:
            self.balancer.settle(ticket, now_s=self.now_s)
            self.open.remove(ticket)
            self.num_over += 1

    @rule(
        address=st.sampled_from([A, B, C]),
        backlog_s=st.floats(0, 200),
        state=st.sampled_from(["ready", "ready", "ready", "draining"]),
    )
    def report(self, address, backlog_s, state):
        self.sequence += 1
        told = load(backlog_s, sequence=self.sequence, state=state, queued_s=backlog_s / 2)
        self.balancer.observe(address, told, asked_s=self.now_s, now_s=self.now_s)

    @rule(gone=st.sets(st.sampled_from([A, B, C]), max_size=2))
    def change(self, gone):
        self.balancer.reconcile(dict.fromkeys({A, B, C} - gone, True))

    @rule(address=st.sampled_from([A, B, C]))
    def fail(self, address):
        self.balancer.fleet.note_failure(address, now_s=self.now_s)

    @invariant()
    def every_request_is_in_one_place(self):
        assert self.balancer.queue.num == len(self.waiting)
        assert self.balancer.fleet.num_open == len(self.open)
        assert self.num_asked == self.num_over + len(self.waiting) + len(self.open)

    @invariant()
    def what_is_told_is_sane(self):
        for each in fleet_report(self.balancer, now_s=self.now_s).endpoints:
            assert 0 <= each.queued_s < math.inf
            assert 0 <= each.backlog_s < math.inf
            assert each.ready == (each.reason == "")

    def teardown(self):
        for ticket in self.open:
            self.balancer.settle(ticket, now_s=self.now_s)
        for waiting in self.waiting:
            self.balancer.give_up(waiting)
        assert (self.balancer.queue.num, self.balancer.fleet.num_open) == (0, 0)


Router.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=40, deadline=None
)
test_any_course_of_events_loses_no_request = Router.TestCase
