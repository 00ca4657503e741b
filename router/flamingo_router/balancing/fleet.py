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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import ejection
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.ejection import EndpointHealth
from flamingo_router.balancing.ledger import Ledger, Ticket

SUMMARY_TTL_S = 0.1
UNREACHABLE, STALE, REMOVED, EJECTED = "unreachable", "stale", "removed", "ejected"
"""Why an endpoint gets no requests, where its own state is not the reason."""


class Endpoint(NamedTuple):
    """The router's view of one pod at one moment."""

    address: str
    is_ready: bool
    """Whether it may get requests."""
    is_known: bool = True
    """Whether its report is fresh."""
    backlog_s: float = 0.0
    queued_s: float = 0.0
    """The part of the backlog that one more request waits for before its first token."""
    num_ahead: int = 0
    """Requests at the pod that wait for their first token."""
    num_in_flight: int = 0
    """Requests of this router that are in flight to the pod."""
    load: LoadReport | None = None
    """Its fresh report; None when there is none."""
    model: str = ""
    reason: str = ""
    """Why it gets no requests; empty when it is ready."""
    num_free_kv_tokens: float | None = None
    """None: the pod does not report it."""


@dataclass(slots=True)
class _EndpointState:
    address: str
    load: LoadReport | None = None
    requested_s: float = float("-inf")
    """When the last report was requested."""
    stale_since_s: float = float("-inf")
    """When the endpoint last failed or was busy; a report that is requested later supersedes it."""
    is_removed: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    health: EndpointHealth = field(default_factory=EndpointHealth)


class FleetSummary(NamedTuple):
    """Figures over all endpoints, at most `SUMMARY_TTL_S` old."""

    num_ready: int
    num_known: int
    """Ready endpoints with a fresh report."""
    min_backlog_s: float
    """The smallest backlog of the ready endpoints, in seconds."""
    ejected: frozenset[str]


class Fleet:
    """All endpoints by address."""

    def __init__(
        self, addresses: Iterable[str] = (), *, stale_after_s: float, unreachable_after_s: float
    ) -> None:
        self._states: dict[str, _EndpointState] = {
            address: _EndpointState(address) for address in addresses
        }
        self._stale_after_s = stale_after_s
        self._unreachable_after_s = unreachable_after_s
        self._num_tickets = 0
        self._num_in_flight = 0
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
        load = self._states[address].load
        return load.epoch if load else ""

    def observe(self, address: str, load: LoadReport, *, requested_s: float) -> bool:
        """Apply a report that was requested at `requested_s`; return False if it is outdated."""
        state = self._states.get(address)
        if state is None:
            return False
        known = state.load
        if known and known.epoch == load.epoch and known.sequence > load.sequence:
            return False  # a later report arrived first
        if known and known.epoch != load.epoch:
            state.health = EndpointHealth()  # a new process starts without failures
        if known is None or known.state != load.state or state.stale_since_s >= state.requested_s:
            self._invalidate_summary()
        state.load, state.requested_s = load, requested_s
        state.ledger.mark_reported(requested_s=requested_s)
        return True

    def mark_stale(self, address: str, *, now_s: float) -> None:
        """Send no requests to an endpoint that failed or is busy until a later report is ready."""
        if address in self._states:
            self._states[address].stale_since_s = now_s
            self._invalidate_summary()

    def record_failure(self, address: str, *, now_s: float) -> bool:
        """Record that the endpoint failed; return whether that ejects it."""
        state = self._states.get(address)
        is_ejected = state is not None and state.health.record_failure(now_s=now_s)
        if is_ejected:
            self._invalidate_summary()
        return is_ejected

    def record_success(self, address: str) -> None:
        """Record that the endpoint responded."""
        if address in self._states:
            self._states[address].health.record_success()

    def eject(self, address: str, *, now_s: float) -> None:
        """Send no requests to an endpoint for a while."""
        self._states[address].health.eject(now_s=now_s)
        self._invalidate_summary()

    def reserve(
        self, address: str, cost: Cost, *, now_s: float, num_kv_tokens: float = 0.0
    ) -> Ticket:
        """Reserve work at an endpoint; the ticket must be settled exactly once."""
        self._num_tickets += 1
        self._num_in_flight += 1
        ticket = Ticket(self._num_tickets, address, cost, num_kv_tokens)
        self._states[address].ledger.add(ticket, now_s=now_s)
        return ticket

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the whole request was sent to the pod, so that later reports include it."""
        if ticket.address in self._states:
            self._states[ticket.address].ledger.mark_sent(ticket, now_s=now_s)

    def mark_responding(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the pod has begun to respond, so that the request's prefill is over."""
        if ticket.address in self._states:
            self._states[ticket.address].ledger.mark_responding(ticket, now_s=now_s)

    def settle(self, ticket: Ticket, *, now_s: float) -> None:
        """Settle the ticket of a request that has ended, with or without success.

        Raises:
            KeyError: it has been settled already.
        """
        state = self._states[ticket.address]
        state.ledger.remove(ticket, now_s=now_s)
        self._num_in_flight -= 1

    def forget_removed(self) -> list[str]:
        """Forget the removed endpoints that have no ticket; return their addresses."""
        removed = [state for state in self._states.values() if state.is_removed]
        idle = [state.address for state in removed if not state.ledger.tickets]
        for address in idle:
            del self._states[address]
        if idle:
            self._invalidate_summary()
        return idle

    def _invalidate_summary(self) -> None:
        self._summary_until_s = float("-inf")
        self._addresses = list(self._states)

    def _summarize(self, now_s: float) -> FleetSummary:
        ready = {
            address: state
            for address, state in self._states.items()
            if not self._reason(state, now_s, frozenset())
        }
        healths = {address: state.health for address, state in ready.items()}
        ejected = ejection.ejected_addresses(healths, now_s=now_s)
        views = [
            self._view(state, now_s, ejected)
            for address, state in ready.items()
            if address not in ejected
        ]
        min_backlog_s = min((view.backlog_s for view in views), default=0.0)
        num_known = sum(view.is_known for view in views)
        return FleetSummary(len(views), num_known, min_backlog_s, ejected)

    def _view(self, state: _EndpointState, now_s: float, ejected: frozenset[str]) -> Endpoint:
        age_s = now_s - state.requested_s
        load = state.load if state.load is not None and age_s <= self._stale_after_s else None
        ledger = state.ledger
        reason = self._reason(state, now_s, ejected)
        return Endpoint(
            state.address,
            not reason,
            load is not None,
            ledger.unreported_s + max(load.backlog_s - age_s, 0.0) if load else ledger.total_s,
            _queued_s(ledger, load, now_s, age_s),
            max(ledger.num_waiting, load.num_waiting if load else 0),
            len(ledger.tickets),
            load,
            state.load.model if state.load else "",
            reason,
            _num_free_kv_tokens(load, ledger),
        )

    def _reason(self, state: _EndpointState, now_s: float, ejected: frozenset[str]) -> str:
        """Return why the endpoint gets no requests; empty when it is ready."""
        if state.is_removed:
            return REMOVED
        if state.load is None or now_s - state.requested_s > self._unreachable_after_s:
            return UNREACHABLE
        if state.load.state != "ready":
            return state.load.state
        if state.stale_since_s >= state.requested_s:
            return STALE
        return EJECTED if state.address in ejected else ""


def _queued_s(ledger: Ledger, load: LoadReport | None, now_s: float, age_s: float) -> float:
    """Return the prefill that one more request waits for: as reported, or the largest estimate."""
    if load is not None and load.queued_s is not None:
        own_s = ledger.queued_s(now_s=now_s, unreported_only=True) if ledger.tickets else 0.0
        return own_s + max(load.queued_s - age_s, 0.0)
    own_s = ledger.queued_s(now_s=now_s, unreported_only=False) if ledger.tickets else 0.0
    if load is None or not load.num_waiting:
        return own_s
    waiting_share = load.num_waiting / (load.num_waiting + load.num_running)
    return max(own_s, waiting_share * max(load.backlog_s - age_s, 0.0))


def _num_free_kv_tokens(load: LoadReport | None, ledger: Ledger) -> float | None:
    if load is None or load.num_kv_tokens is None or load.num_kv_tokens_used is None:
        return None
    return load.num_kv_tokens - load.num_kv_tokens_used - ledger.num_unreported_kv_tokens
