"""The fleet: how reports and tickets add up to the view of an endpoint."""

import pytest
from fakes import steps
from fakes.balancing import load_report
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.ledger import UPLOAD_S

A, B = "http://a", "http://b"


def fleet_of(*addresses):
    return Fleet(addresses, stale_after_s=1, unreachable_after_s=10)


def seconds(cost_s):
    return Cost(cost_s, 0.0)


@pytest.fixture
def fleet():
    return fleet_of(A, B)


def backlog_s(fleet, now_s, address=A):
    return fleet.endpoint_at(address, now_s=now_s).backlog_s


def is_ready(fleet, now_s, address=A):
    return fleet.endpoint_at(address, now_s=now_s).is_ready


def test_an_endpoint_without_a_report_gets_no_requests(fleet):
    assert not is_ready(fleet, 0)


def reason(fleet, now_s):
    return fleet.endpoint_at(A, now_s=now_s).reason


def test_a_pod_that_refuses_the_key_is_told_from_one_that_is_unreachable(fleet):
    fleet.mark_unreported(A, "key_refused")
    assert reason(fleet, 0) == "key_refused"

    fleet.observe(A, load_report(), requested_s=1)
    fleet.mark_unreported(A, "key_refused")
    assert reason(fleet, 2) == "", "its last report holds for a while"
    assert reason(fleet, 12) == "key_refused"

    fleet.mark_unreported(A)
    assert reason(fleet, 12) == "unreachable"


def test_time_that_the_router_lost_does_not_age_a_report(fleet):
    fleet.observe(A, load_report(), requested_s=0)
    fleet.lag.record(11.5)
    assert is_ready(fleet, 12)
    assert fleet.endpoint_at(A, now_s=12).is_known
    assert not is_ready(fleet, 22)


def test_an_ejected_endpoint_is_tried_with_one_request_at_a_time():
    fleet = fleet_of(A, B)
    for address in (A, B):
        fleet.observe(address, load_report(), requested_s=20)
    fleet.eject(A, now_s=0)
    assert is_ready(fleet, 20)

    trial = fleet.reserve(A, seconds(1), now_s=20)
    assert not is_ready(fleet, 20)
    fleet.settle(trial, now_s=20)  # its client has disconnected
    assert is_ready(fleet, 20)

    trial = fleet.reserve(A, seconds(1), now_s=20)
    fleet.mark_responding(trial, now_s=20)
    fleet.record_success(A, sent_s=20)
    fleet.settle(trial, now_s=20)
    for _ in range(3):
        fleet.reserve(A, seconds(1), now_s=20)
    assert is_ready(fleet, 20)


@pytest.mark.parametrize("state", ["starting", "loading", "warming", "draining", "stopped"])
def test_only_a_pod_that_reports_ready_is_ready(fleet, state):
    fleet.observe(A, load_report(state=state), requested_s=0)
    assert not is_ready(fleet, 0)
    fleet.observe(A, load_report(sequence=2), requested_s=0)
    assert is_ready(fleet, 0)


def test_the_backlog_is_the_report_less_the_time_since(fleet):
    fleet.observe(A, load_report(5.0), requested_s=10)

    assert backlog_s(fleet, 10) == 5.0
    assert backlog_s(fleet, 10.5) == 4.5
    assert fleet.endpoint_at(A, now_s=10).load.backlog_s == 5.0


def test_a_backlog_is_never_negative(fleet):
    fleet.observe(A, load_report(0.25), requested_s=10)
    assert backlog_s(fleet, 10.75) == 0.0


def test_what_was_sent_since_the_report_is_added(fleet):
    fleet.observe(A, load_report(5.0), requested_s=10)
    ticket = fleet.reserve(A, seconds(2.0), now_s=10)
    assert backlog_s(fleet, 10) == 7.0

    fleet.settle(ticket, now_s=10)
    assert backlog_s(fleet, 10) == 5.0


def test_a_report_requested_after_a_request_had_left_includes_it(fleet):
    ticket = fleet.reserve(A, seconds(2.0), now_s=10)
    fleet.mark_sent(ticket, now_s=10)
    fleet.observe(A, load_report(2.0), requested_s=10.5)

    assert backlog_s(fleet, 10.5) == 2.0
    assert fleet.endpoint_at(A, now_s=10.5).num_in_flight == 1


def test_a_report_does_not_include_what_is_still_being_uploaded(fleet):
    fleet.reserve(A, seconds(2.0), now_s=10)
    fleet.observe(A, load_report(0.0), requested_s=10)

    assert backlog_s(fleet, 10) == 2.0


def test_a_report_requested_before_a_request_had_left_does_not_include_it(fleet):
    ticket = fleet.reserve(A, seconds(2.0), now_s=10)
    fleet.mark_sent(ticket, now_s=10)
    fleet.observe(A, load_report(0.0), requested_s=9.9)

    assert backlog_s(fleet, 10) == 2.0


def test_without_a_fresh_report_all_own_tickets_count(fleet):
    fleet.observe(A, load_report(50.0), requested_s=10)
    fleet.mark_sent(fleet.reserve(A, seconds(2.0), now_s=10), now_s=10)
    fleet.observe(A, load_report(50.0, sequence=2), requested_s=10.5)
    fleet.reserve(A, seconds(3.0), now_s=10.5)
    endpoint = fleet.endpoint_at(A, now_s=12)

    assert not endpoint.is_known
    assert endpoint.load is None
    assert endpoint.backlog_s == 5.0
    assert endpoint.is_ready


def test_a_pod_without_a_report_for_long_gets_no_requests(fleet):
    fleet.observe(A, load_report(), requested_s=10)

    assert is_ready(fleet, 20)
    assert not is_ready(fleet, 20.1)


def test_an_endpoint_marked_stale_waits_for_a_later_report(fleet):
    fleet.observe(A, load_report(), requested_s=10)
    fleet.mark_stale(A, now_s=11)
    assert not is_ready(fleet, 11)

    fleet.observe(A, load_report(sequence=2), requested_s=10.9)
    assert not is_ready(fleet, 11)

    fleet.observe(A, load_report(sequence=3), requested_s=11.1)
    assert is_ready(fleet, 11.1)


def test_a_report_that_was_overtaken_is_dropped(fleet):
    fleet.observe(A, load_report(1.0, sequence=7), requested_s=10)
    fleet.observe(A, load_report(9.0, sequence=6), requested_s=10)
    assert backlog_s(fleet, 10) == 1.0


def test_a_restarted_pod_starts_its_sequence_again(fleet):
    fleet.observe(A, load_report(9.0, sequence=70), requested_s=10)
    fleet.observe(A, load_report(1.0, epoch="2", sequence=0), requested_s=10)
    assert backlog_s(fleet, 10) == 1.0


def test_a_ticket_is_settled_once(fleet):
    ticket = fleet.reserve(A, seconds(2.0), now_s=10)
    fleet.settle(ticket, now_s=10)
    with pytest.raises(KeyError):
        fleet.settle(ticket, now_s=10)


def test_the_summary_has_the_smallest_backlog_of_those_that_may_get_requests():
    fleet = fleet_of("a", "b", "c", "d")
    for address, backlog_s in (("a", 9), ("b", 4), ("c", 7), ("d", 1)):
        fleet.observe(address, load_report(backlog_s=backlog_s), requested_s=0)
    fleet.eject("d", now_s=0)
    fleet.reserve("b", seconds(5), now_s=0)

    summary = fleet.summary(now_s=0)

    assert (summary.num_ready, summary.num_known, summary.min_backlog_s) == (3, 3, 7)
    assert summary.ejected == {"d"}


@pytest.mark.parametrize(("backlog_s", "max_steps"), [(0, 12), (9, 26)])
def test_the_summary_of_many_endpoints_is_cheap(backlog_s, max_steps):
    addresses = [str(number) for number in range(1000)]
    fleet = fleet_of(*addresses)
    for address in addresses:
        fleet.observe(address, load_report(backlog_s=backlog_s), requested_s=0)

    used = steps.num_steps(lambda: fleet.summary(now_s=1))

    assert fleet.summary(now_s=1).num_ready == 1000
    assert used < max_steps * len(addresses)


def test_a_settled_ticket_is_not_sent_again(fleet):
    ticket = fleet.reserve(A, seconds(2.0), now_s=10)
    fleet.settle(ticket, now_s=10)
    fleet.mark_sent(ticket, now_s=1)
    assert fleet.endpoint_at(A, now_s=1).num_in_flight == 0


class AnyCourseOfEvents(RuleBasedStateMachine):
    """Any order of reports, sends and settlements leaves sane backlogs."""

    @initialize()
    def start(self):
        self.fleet, self.now_s, self.open, self.sequence = fleet_of(A, B), 0.0, [], 0
        self.uploading_since_s = {}

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds):
        self.now_s += seconds

    @rule(address=st.sampled_from([A, B]), cost_s=st.floats(0, 100))
    def reserve(self, address, cost_s):
        self.open.append(self.fleet.reserve(address, seconds(cost_s), now_s=self.now_s))
        self.uploading_since_s[self.open[-1]] = self.now_s

    @rule(data=st.data())
    def send(self, data):
        if self.open:
            ticket = data.draw(st.sampled_from(self.open))
            self.fleet.mark_sent(ticket, now_s=self.now_s)
            self.uploading_since_s.pop(ticket, None)

    @rule(data=st.data())
    def settle(self, data):
        if self.open:
            at = data.draw(st.integers(0, len(self.open) - 1))
            self.fleet.settle(self.open.pop(at), now_s=self.now_s)

    @rule(address=st.sampled_from([A, B]), left_s=st.floats(0, 100), late_s=st.floats(0, 2))
    def observe(self, address, left_s, late_s):
        self.sequence += 1
        report = load_report(left_s, sequence=self.sequence)
        self.fleet.observe(address, report, requested_s=self.now_s - late_s)

    @invariant()
    def backlog_is_never_negative(self):
        for endpoint in self.fleet.endpoints(now_s=self.now_s):
            assert endpoint.backlog_s >= 0

    @invariant()
    def every_open_ticket_is_counted(self):
        endpoints = self.fleet.endpoints(now_s=self.now_s)
        assert sum(endpoint.num_in_flight for endpoint in endpoints) == len(self.open)

    @invariant()
    def an_unknown_endpoint_has_exactly_its_open_tickets(self):
        slow = {
            ticket
            for ticket, since_s in self.uploading_since_s.items()
            if self.now_s - since_s >= UPLOAD_S
        }
        for endpoint in self.fleet.endpoints(now_s=self.now_s):
            here = [each for each in self.open if each.address == endpoint.address]
            own_s = sum(each.cost_s for each in here if each not in slow)
            if not endpoint.is_known:
                assert endpoint.backlog_s == pytest.approx(own_s)


test_any_course_of_events_leaves_sane_backlogs = AnyCourseOfEvents.TestCase
