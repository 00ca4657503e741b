"""The endpoints, and the work promised to each.

A pod reports its backlog a few times a second. What we sent since then is not in
that figure, so an endpoint's backlog is the report's, less the time that has gone
by, plus every ticket whose request had not wholly arrived when the report was asked
for. Three routers that do this balance as well as one that knows all.

A report gone stale says nothing: then only our own tickets count, and the policy
prefers an endpoint that is known.

Endpoints come and go while requests are open: one that has gone gets nothing new, and
is forgotten when its last ticket is settled.

Pure: state, but no I/O; time is an argument. No method waits, so on one event loop
choosing and reserving cannot be parted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing import ejection
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.ejection import Health
from flamingo_router.balancing.ledger import Ledger, Ticket

SUMMED_EACH_S = 0.1
SILENT, SET_ASIDE, LEAVING, EJECTED = "silent", "set aside", "leaving", "ejected"


class Endpoint(NamedTuple):
    """The router's view of one pod at one moment."""

    address: str
    is_ready: bool
    is_known: bool = True
    """Whether its report is fresh."""
    backlog_s: float = 0.0
    queued_s: float = 0.0
    """Of the backlog, what stands before the first token of one more request."""
    num_ahead: int = 0
    """Requests that wait there for their first token."""
    num_open: int = 0
    load: LoadReport | None = None
    """Its fresh report; None when it is not known."""
    model: str = ""
    reason: str = ""
    """Why it gets no work."""
    num_free_kv_tokens: float | None = None
    """None: it does not tell."""


@dataclass(slots=True)
class _Record:
    address: str
    load: LoadReport | None = None
    asked_s: float = float("-inf")
    """When the last report was asked for."""
    set_aside_s: float = float("-inf")
    """When the endpoint last failed or refused; a report asked for later overrules that."""
    is_leaving: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    health: Health = field(default_factory=Health)


class Summary(NamedTuple):
    """All endpoints at a glance, a moment ago."""

    num_ready: int
    num_known: int
    """Of these, with a fresh report."""
    emptiest_s: float
    """The least backlog of those that are ready."""
    ejected: frozenset[str]


class Fleet:
    """See the module."""

    def __init__(
        self, addresses: Iterable[str] = (), *, stale_after_s: float, unreachable_after_s: float
    ) -> None:
        self._records: dict[str, _Record] = {address: _Record(address) for address in addresses}
        self._stale_after_s = stale_after_s
        self._unreachable_after_s = unreachable_after_s
        self._num_tickets = 0
        self._num_open = 0
        self._addresses: list[str] = list(self._records)
        self._summary = Summary(0, 0, 0.0, frozenset())
        self._summed_until_s = float("-inf")

    @property
    def num_open(self) -> int:
        """Requests that are with some pod."""
        return self._num_open

    @property
    def addresses(self) -> list[str]:
        """Every endpoint's address, those included that leave."""
        return self._addresses

    def reconcile(self, members: Mapping[str, bool]) -> list[str]:
        """Know these endpoints and no others; the value: may it get work. Return those forgotten.

        One that left and came back under its old address is judged by what it reports.
        """
        for address, is_open in members.items():
            if address not in self._records and is_open:
                self._records[address] = _Record(address)
            elif address in self._records:
                self._records[address].is_leaving = not is_open
        for address in self._records.keys() - members.keys():
            self._records[address].is_leaving = True
        self._addresses = list(self._records)
        return self.forget_left()

    def endpoints(self, *, now_s: float, among: Iterable[str] | None = None) -> list[Endpoint]:
        """Return every endpoint as it is seen now, or those `among` the addresses."""
        out = self.summary(now_s=now_s).ejected
        records = self._records
        some = records.values() if among is None else [records[each] for each in among]
        return [self._view(record, now_s, out) for record in some]

    def endpoint(self, address: str, *, now_s: float) -> Endpoint:
        """Return one of them."""
        ejected = self.summary(now_s=now_s).ejected
        return self._view(self._records[address], now_s, ejected)

    def summary(self, *, now_s: float) -> Summary:
        """Return all at a glance: found out at most ten times a second, and after what matters."""
        if now_s >= self._summed_until_s:
            self._summed_until_s = now_s + SUMMED_EACH_S
            self._summary = self._summed(now_s)
        return self._summary

    def knows(self, address: str) -> bool:
        """Whether there is such an endpoint."""
        return address in self._records

    def epoch(self, address: str) -> str:
        """Return the name of the process behind the address, as far as it is known."""
        load = self._records[address].load
        return load.epoch if load else ""

    def observe(self, address: str, load: LoadReport, *, asked_s: float) -> bool:
        """Take in a pod's report, which was asked for at `asked_s`; False: it came too late."""
        record = self._records.get(address)
        if record is None:
            return False
        known = record.load
        if known and known.epoch == load.epoch and known.sequence > load.sequence:
            return False  # overtaken on the way
        if known and known.epoch != load.epoch:
            record.health = Health()  # another process: nothing is held against it
        if known is None or known.state != load.state or record.set_aside_s >= record.asked_s:
            self._look_anew()
        record.load, record.asked_s = load, asked_s
        record.ledger.count(asked_s=asked_s)
        return True

    def set_aside(self, address: str, *, now_s: float) -> None:
        """Give an endpoint that failed or refused no work until a later report calls it ready."""
        if address in self._records:
            self._records[address].set_aside_s = now_s
            self._look_anew()

    def note_failure(self, address: str, *, now_s: float) -> bool:
        """Note that the endpoint failed; return whether that ejects it."""
        record = self._records.get(address)
        is_out = record is not None and record.health.note_failure(now_s=now_s)
        if is_out:
            self._look_anew()
        return is_out

    def note_success(self, address: str) -> None:
        """Note that the endpoint answered."""
        if address in self._records:
            self._records[address].health.note_success()

    def eject(self, address: str, *, now_s: float) -> None:
        """Leave an endpoint alone for a while."""
        self._records[address].health.eject(now_s=now_s)
        self._look_anew()

    def reserve(
        self, address: str, cost: Cost, *, now_s: float, num_kv_tokens: float = 0.0
    ) -> Ticket:
        """Promise work to an endpoint."""
        self._num_tickets += 1
        self._num_open += 1
        ticket = Ticket(self._num_tickets, address, cost, num_kv_tokens)
        self._records[address].ledger.add(ticket, now_s=now_s)
        return ticket

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Note that the whole request has left for the pod: reports from now on count it."""
        if ticket.address in self._records:
            self._records[ticket.address].ledger.mark_sent(ticket, now_s=now_s)

    def mark_answered(self, ticket: Ticket, *, now_s: float) -> None:
        """Note that the pod has begun to answer: its prefill lane is free of this."""
        if ticket.address in self._records:
            self._records[ticket.address].ledger.mark_answered(ticket, now_s=now_s)

    def settle(self, ticket: Ticket, *, now_s: float) -> None:
        """Take a ticket back: its request is over, however it ended.

        Raises:
            KeyError: it was settled before.
        """
        record = self._records[ticket.address]
        record.ledger.remove(ticket, now_s=now_s)
        self._num_open -= 1

    def forget_left(self) -> list[str]:
        """Forget the endpoints that have left and hold nothing of ours; return them."""
        gone = [each.address for each in self._leaving if not each.ledger.tickets]
        for address in gone:
            del self._records[address]
        if gone:
            self._look_anew()
        return gone

    @property
    def _leaving(self) -> list[_Record]:
        return [record for record in self._records.values() if record.is_leaving]

    def _look_anew(self) -> None:
        """Something has changed that a summary must not keep quiet."""
        self._summed_until_s = float("-inf")
        self._addresses = list(self._records)

    def _summed(self, now_s: float) -> Summary:
        ready = {
            address: record
            for address, record in self._records.items()
            if not self._reason(record, now_s, frozenset())
        }
        healths = {address: record.health for address, record in ready.items()}
        out = ejection.ejected(healths, now_s=now_s)
        views = [
            self._view(record, now_s, out)
            for address, record in ready.items()
            if address not in out
        ]
        emptiest_s = min((view.backlog_s for view in views), default=0.0)
        num_known = sum(view.is_known for view in views)
        return Summary(len(views), num_known, emptiest_s, out)

    def _view(self, record: _Record, now_s: float, out: frozenset[str]) -> Endpoint:
        age_s = now_s - record.asked_s
        load = record.load if record.load is not None and age_s <= self._stale_after_s else None
        ledger = record.ledger
        reason = self._reason(record, now_s, out)
        return Endpoint(
            record.address,
            not reason,
            load is not None,
            ledger.fresh_s + max(load.backlog_s - age_s, 0.0) if load else ledger.own_s,
            _queued_s(ledger, load, now_s, age_s),
            max(ledger.num_unanswered, load.num_waiting if load else 0),
            len(ledger.tickets),
            load,
            record.load.model if record.load else "",
            reason,
            _num_free(load, ledger),
        )

    def _reason(self, record: _Record, now_s: float, out: frozenset[str]) -> str:
        if record.is_leaving:
            return LEAVING
        if record.load is None or now_s - record.asked_s > self._unreachable_after_s:
            return SILENT
        if record.load.state != "ready":
            return record.load.state
        if record.set_aside_s >= record.asked_s:
            return SET_ASIDE
        return EJECTED if record.address in out else ""


def _queued_s(ledger: Ledger, load: LoadReport | None, now_s: float, age_s: float) -> float:
    """Return the prefill before one more request: the pod's word, or the most that is known."""
    if load is not None and load.queued_s is not None:
        own_s = ledger.queued_s(now_s=now_s, is_fresh_only=True) if ledger.tickets else 0.0
        return own_s + max(load.queued_s - age_s, 0.0)
    own_s = ledger.queued_s(now_s=now_s, is_fresh_only=False) if ledger.tickets else 0.0
    if load is None or not load.num_waiting:
        return own_s
    waiting = load.num_waiting / (load.num_waiting + load.num_running)
    return max(own_s, waiting * max(load.backlog_s - age_s, 0.0))


def _num_free(load: LoadReport | None, ledger: Ledger) -> float | None:
    if load is None or load.num_kv_tokens is None or load.num_kv_tokens_used is None:
        return None
    return load.num_kv_tokens - load.num_kv_tokens_used - ledger.num_fresh_kv_tokens
