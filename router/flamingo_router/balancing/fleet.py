"""The endpoints, and the work that is reserved at each.

How it works. A pod reports its backlog a few times a second. What this router sent since
then is not in that figure, so an endpoint's backlog is the reported one, less the time that has
passed, plus every ticket whose request was not sent completely when the report was
requested (see `ledger`). Three routers that do this balance as well as a single one.

A stale report is ignored: the backlog is then that of our own tickets, and the
policy prefers endpoints with a fresh report. After `unreachable_after_s` the endpoint gets
no requests at all.

Endpoints come and go while requests are in flight: one that discovery has removed gets no
new requests, and is forgotten once its last ticket is settled.

Pure: state, but no I/O; time is an argument. No method awaits, so on one event loop nothing
can come between choosing an endpoint and reserving its ticket.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import ejection, endpoint
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.ejection import EndpointHealth
from flamingo_router.balancing.endpoint import Endpoint
from flamingo_router.balancing.ledger import ANONYMOUS, Ledger, Owner, Ticket
from flamingo_router.balancing.loop_lag import LoopLag

SUMMARY_TTL_S = 0.1
UNREACHABLE, STALE, REMOVED = "unreachable", "stale", "removed"
EJECTED, KEY_REFUSED, NAME_REFUSED = "ejected", "key_refused", "name_refused"
"""Why an endpoint gets no requests, where its own state is not the reason."""


@dataclass(slots=True)
class _EndpointState:
    address: str
    load: LoadReport | None = None
    requested_s: float = float("-inf")
    """When the last report was requested."""
    lost_s: float = 0.0
    """What this router had lost when the report arrived."""
    stale_since_s: float = float("-inf")
    """When the endpoint last failed or was busy; a report that is requested later supersedes it."""
    has_been_polled: bool = False
    refusal: str = ""
    """Why the last poll was refused: `KEY_REFUSED`, `NAME_REFUSED`, or empty if it was not."""
    is_removed: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    health: EndpointHealth = field(default_factory=EndpointHealth)


class FleetSummary(NamedTuple):
    """Figures over all endpoints, at most `SUMMARY_TTL_S` old."""

    num_ready: int
    num_known: int
    """Ready endpoints with a fresh report."""
    min_backlog_s: float
    """The smallest backlog of the ready endpoints, in seconds, without low priority."""
    ejected: frozenset[str]


class Fleet:
    """All endpoints by address."""

    def __init__(
        self, addresses: Iterable[str] = (), *, stale_after_s: float, unreachable_after_s: float
    ) -> None:
        self.lag = LoopLag()
        """The time that this router has lost, which does not count as the age of a report."""
        self._states: dict[str, _EndpointState] = {
            address: _EndpointState(address) for address in addresses
        }
        self._stale_after_s = stale_after_s
        self._unreachable_after_s = unreachable_after_s
        self._num_tickets = 0
        self._num_in_flight = 0
        self._work_s: defaultdict[Owner, float] = defaultdict(float)
        """Seconds of the requests in flight."""
        self._addresses: list[str] = list(self._states)
        self._summary = FleetSummary(0, 0, 0.0, frozenset())
        self._summary_until_s = float("-inf")

    def __contains__(self, address: str) -> bool:
        return address in self._states

    @property
    def num_in_flight(self) -> int:
        """Requests that were sent to any pod and are not settled."""
        return self._num_in_flight

    @property
    def addresses(self) -> list[str]:
        """Every endpoint's address, including those that were removed and are not idle yet."""
        return self._addresses

    def set_members(self, members: Mapping[str, bool]) -> list[str]:
        """Replace the members; the value of each is whether it may get requests.

        A member that was removed and is added again under its old address keeps its state
        until its next report.

        Returns:
            The addresses of endpoints that were forgotten.
        """
        for address, is_open in members.items():
            if address not in self._states and is_open:
                self._states[address] = _EndpointState(address)
            elif address in self._states:
                self._states[address].is_removed = not is_open
        for address in self._states.keys() - members.keys():
            self._states[address].is_removed = True
        self._addresses = list(self._states)
        return self.forget_removed()

    @property
    def is_awaiting_reports(self) -> bool:
        """Whether there is an endpoint that was not polled yet, so that nothing is known of it."""
        return any(not each.has_been_polled for each in self._states.values())

    def endpoints(self, *, now_s: float, among: Iterable[str] | None = None) -> list[Endpoint]:
        """Return the views of the endpoints in `among`; None: of all."""
        ejected = self.summary(now_s=now_s).ejected
        states = self._states
        chosen = states.values() if among is None else [states[each] for each in among]
        return [self._view(state, now_s, ejected) for state in chosen]

    def endpoint_at(self, address: str, *, now_s: float) -> Endpoint:
        """Return the view of one endpoint."""
        ejected = self.summary(now_s=now_s).ejected
        return self._view(self._states[address], now_s, ejected)

    def summary(self, *, now_s: float) -> FleetSummary:
        """Return the summary; it is computed at most ten times a second, and after each change."""
        if now_s >= self._summary_until_s:
            self._summary_until_s = now_s + SUMMARY_TTL_S
            self._summary = self._summarize(now_s)
        return self._summary

    def epoch(self, address: str) -> str:
        """Return the identity of the process behind the address; empty while it is unknown."""
        state = self._states.get(address)
        return state.load.epoch if state and state.load else ""

    def process(self, address: str) -> str:
        """Return the name of the process behind an address: that changes when it restarts."""
        return f"{address} {self.epoch(address)}"

    def reported_since(self, since_s: float) -> list[str]:
        """Return the addresses whose last report was requested after `since_s`."""
        return [each.address for each in self._states.values() if each.requested_s > since_s]

    def observe(self, address: str, load: LoadReport, *, requested_s: float) -> bool:
        """Apply a report that was requested at `requested_s`; return False if it is outdated."""
        state = self._states.get(address)
        if state is None:
            return False
        state.has_been_polled = True
        known = state.load
        if known and known.epoch == load.epoch and known.sequence > load.sequence:
            return False  # a later report arrived first
        if known and known.epoch != load.epoch:
            state.health = EndpointHealth()  # a new process starts without failures
        if known is None or known.state != load.state or state.stale_since_s >= state.requested_s:
            self._invalidate_summary()
        state.load, state.requested_s, state.lost_s = load, requested_s, self.lag.lost_s
        state.refusal = ""
        state.ledger.mark_reported(requested_s=requested_s)
        return True

    def mark_unreported(self, address: str, refusal: str = "") -> None:
        """Record that a poll of an endpoint brought no report, and why if it was refused."""
        if (state := self._states.get(address)) is not None:
            state.has_been_polled, state.refusal = True, refusal

    def mark_stale(self, address: str, *, now_s: float) -> None:
        """Send no requests to an endpoint that failed or is busy until a later report is ready."""
        if address in self._states:
            self._states[address].stale_since_s = now_s
            self._invalidate_summary()

    def record_failure(self, address: str, *, sent_s: float, now_s: float) -> bool:
        """Record a failure of a request sent at `sent_s`; return whether it ejects the endpoint."""
        state = self._states.get(address)
        is_ejected = state is not None and state.health.record_failure(sent_s=sent_s, now_s=now_s)
        if is_ejected:
            self._invalidate_summary()
        return is_ejected

    def record_success(self, address: str, *, sent_s: float) -> None:
        """Record that the endpoint responded to a request sent at `sent_s`."""
        if address in self._states:
            self._states[address].health.record_success(sent_s=sent_s)

    def eject(self, address: str, *, now_s: float) -> None:
        """Send no requests to an endpoint for a while."""
        self._states[address].health.eject(now_s=now_s)
        self._invalidate_summary()

    def waiting_share(self, address: str, owner: Owner) -> float:
        """Return how much of the prefill of its kind that waits at an endpoint is one owner's."""
        return self._states[address].ledger.waiting_share(owner)

    def work_share(self, owner: Owner) -> float:
        """Return how much of the work of its kind in flight to all endpoints is one owner's."""
        total_s = sum(s for each, s in self._work_s.items() if each.is_low is owner.is_low)
        return self._work_s[owner] / total_s if total_s else 0.0

    def reserve(
        self,
        address: str,
        cost: Cost,
        *,
        now_s: float,
        num_kv_tokens: float = 0.0,
        owner: Owner = ANONYMOUS,
    ) -> Ticket:
        """Reserve work at an endpoint; the ticket must be settled exactly once."""
        self._num_tickets += 1
        self._num_in_flight += 1
        ticket = Ticket(self._num_tickets, address, cost, num_kv_tokens, owner)
        self._work_s[owner] += cost.total_s
        state = self._states[address]
        state.ledger.add(ticket, now_s=now_s)
        if state.health.begin_trial(ticket.number):
            self._invalidate_summary()
        return ticket

    def mark_arrived(self, ticket: Ticket, share: float) -> None:
        """Record how much of a request its client has uploaded."""
        if ticket.address in self._states:
            self._states[ticket.address].ledger.mark_arrived(ticket, share)

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the whole request was sent to the pod, so that later reports include it."""
        if ticket.address in self._states:
            self._states[ticket.address].ledger.mark_sent(ticket, now_s=now_s)

    def mark_responding(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the pod has begun to respond, so that the request's prefill is over."""
        if (state := self._states.get(ticket.address)) is not None:
            state.ledger.mark_responding(ticket, now_s=now_s)
            self._end_trial(state, ticket)

    def settle(self, ticket: Ticket, *, now_s: float) -> None:
        """Settle the ticket of a request that has ended, with or without success.

        Raises:
            KeyError: it has been settled already.
        """
        state = self._states[ticket.address]
        state.ledger.remove(ticket, now_s=now_s)
        self._num_in_flight -= 1
        self._work_s[ticket.owner] -= ticket.cost_s
        if not self._num_in_flight:
            self._work_s.clear()
        self._end_trial(state, ticket)

    def forget_removed(self) -> list[str]:
        """Forget the removed endpoints that have no ticket; return their addresses."""
        removed = [state for state in self._states.values() if state.is_removed]
        idle = [state.address for state in removed if not state.ledger.tickets]
        for address in idle:
            del self._states[address]
        if idle:
            self._invalidate_summary()
        return idle

    def _end_trial(self, state: _EndpointState, ticket: Ticket) -> None:
        if state.health.end_trial(ticket.number):
            self._invalidate_summary()

    def _invalidate_summary(self) -> None:
        self._summary_until_s = float("-inf")
        self._addresses = list(self._states)

    def _summarize(self, now_s: float) -> FleetSummary:
        ready = [each for each in self._states.values() if not self._reason(each, now_s)]
        ejected = ejection.ejected_addresses(
            {each.address: each.health for each in ready if each.health.is_on_trial},
            num_ready=len(ready),
            now_s=now_s,
        )
        if ejected:
            ready = [each for each in ready if each.address not in ejected]
        num_known = sum(self._silent_s(each, now_s) <= self._stale_after_s for each in ready)
        return FleetSummary(len(ready), num_known, self._min_backlog_s(ready, now_s), ejected)

    def _min_backlog_s(self, states: Iterable[_EndpointState], now_s: float) -> float:
        """Return the smallest live backlog, or 0 where there is none, which ends the search.

        Of a thousand endpoints, views of all would take a tenth of a core ten times a second.
        """
        min_s = math.inf
        for state in states:
            load = state.load if self._silent_s(state, now_s) <= self._stale_after_s else None
            low_s = self._low_backlog_s(state, load, now_s) if load and load.low else 0.0
            all_s = endpoint.backlog_s(state.ledger, load, now_s, now_s - state.requested_s)
            min_s = min(min_s, all_s - low_s)
            if min_s <= 0.0:
                return 0.0
        return min_s if math.isfinite(min_s) else 0.0

    def _low_backlog_s(self, state: _EndpointState, load: LoadReport, now_s: float) -> float:
        if not (state.ledger.tickets or (load.low and load.low.backlog_s)):
            return 0.0
        age_s = now_s - state.requested_s
        low = endpoint.low_load(state.ledger, load, is_fresh=True, now_s=now_s, age_s=age_s)
        return low.backlog_s if low else 0.0

    def _view(self, state: _EndpointState, now_s: float, ejected: frozenset[str]) -> Endpoint:
        age_s = now_s - state.requested_s
        is_fresh = self._silent_s(state, now_s) <= self._stale_after_s
        load = state.load if is_fresh else None
        ledger = state.ledger
        reason = self._reason(state, now_s, ejected)
        return Endpoint(
            state.address,
            not reason,
            load is not None,
            endpoint.backlog_s(ledger, load, now_s, age_s),
            endpoint.queued_s(ledger, load, now_s, age_s),
            max(ledger.num_waiting, load.num_waiting if load else 0),
            len(ledger.tickets),
            load,
            state.load.model if state.load else "",
            reason,
            endpoint.num_free_kv_tokens(load, ledger, now_s),
            endpoint.low_load(ledger, state.load, load is not None, now_s, age_s),
        )

    def _silent_s(self, state: _EndpointState, now_s: float) -> float:
        """Return for how long the pod has not reported, without the time that this router lost."""
        return now_s - state.requested_s - (self.lag.lost_s - state.lost_s)

    def _reason(
        self, state: _EndpointState, now_s: float, ejected: frozenset[str] = frozenset()
    ) -> str:
        """Return why the endpoint gets no requests; empty when it is ready."""
        if state.is_removed:
            return REMOVED
        if state.load is None or self._silent_s(state, now_s) > self._unreachable_after_s:
            return state.refusal or UNREACHABLE
        if state.load.state != "ready":
            return state.load.state
        if state.stale_since_s >= state.requested_s:
            return STALE
        return EJECTED if state.address in ejected else ""
