"""The endpoints, and the work promised to each.

A pod reports its backlog a few times a second. What we sent since then is not in
that figure, so an endpoint's backlog is the report's, less the time that has gone
by, plus every ticket whose request had not wholly arrived when the report was asked
for. Three routers that do this balance as well as one that knows all.

A report gone stale says nothing: then only our own tickets count, and the policy
prefers an endpoint that is known.

Pure: state, but no I/O; time is an argument. No method waits, so on one event loop
choosing and reserving cannot be parted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flamingo.wire.report import EndpointReport, FleetReport, LoadReport


@dataclass(frozen=True, slots=True)
class Ticket:
    """The promise of `cost_s` to one endpoint, taken before sending, settled once."""

    number: int
    address: str
    cost_s: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The router's view of one pod at one moment."""

    address: str
    is_ready: bool
    is_known: bool = True
    """Whether its report is fresh."""
    backlog_s: float = 0.0
    num_open: int = 0
    load: LoadReport | None = None
    """Its fresh report; None when it is not known."""


@dataclass(slots=True)
class _Record:
    address: str
    load: LoadReport | None = None
    asked_s: float = float("-inf")
    """When the last report was asked for."""
    set_aside_s: float = float("-inf")
    """When the endpoint last failed or refused; a report asked for later overrules that."""
    fresh: dict[Ticket, float | None] = field(default_factory=dict)
    """Tickets that the report cannot count, and when each was sent whole."""
    counted: set[Ticket] = field(default_factory=set)
    """Tickets that the report counts."""


class Fleet:
    """See the module."""

    def __init__(
        self, addresses: Iterable[str], *, stale_after_s: float, lost_after_s: float
    ) -> None:
        self._records: Mapping[str, _Record] = {address: _Record(address) for address in addresses}
        self._stale_after_s = stale_after_s
        self._lost_after_s = lost_after_s
        self._num_tickets = 0

    def endpoints(self, *, now_s: float) -> list[Endpoint]:
        """Return every endpoint as it is seen now."""
        return [self._view(record, now_s) for record in self._records.values()]

    def endpoint(self, address: str, *, now_s: float) -> Endpoint:
        """Return one of them."""
        return self._view(self._records[address], now_s)

    def observe(self, address: str, load: LoadReport, *, asked_s: float) -> None:
        """Take in a pod's report, which was asked for at `asked_s`."""
        record = self._records[address]
        known = record.load
        if known and known.epoch == load.epoch and known.sequence > load.sequence:
            return  # overtaken on the way
        record.load, record.asked_s = load, asked_s
        arrived = [
            ticket
            for ticket, sent_s in record.fresh.items()
            if sent_s is not None and sent_s <= asked_s
        ]
        for ticket in arrived:
            del record.fresh[ticket]
            record.counted.add(ticket)

    def set_aside(self, address: str, *, now_s: float) -> None:
        """Give an endpoint that failed or refused no work until a later report calls it ready."""
        self._records[address].set_aside_s = now_s

    def reserve(self, address: str, cost_s: float) -> Ticket:
        """Promise `cost_s` of work to an endpoint."""
        self._num_tickets += 1
        ticket = Ticket(self._num_tickets, address, cost_s)
        self._records[address].fresh[ticket] = None
        return ticket

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Note that the whole request has left for the pod: reports from now on count it."""
        fresh = self._records[ticket.address].fresh
        if ticket in fresh:
            fresh[ticket] = now_s

    def settle(self, ticket: Ticket) -> None:
        """Take a ticket back: its request is over, however it ended.

        Raises:
            KeyError: it was settled before.
        """
        record = self._records[ticket.address]
        if ticket in record.fresh:
            del record.fresh[ticket]
        else:
            record.counted.remove(ticket)

    def report(self, *, now_s: float) -> FleetReport:
        """Return what the router tells of its pods."""
        return FleetReport(
            endpoints=[
                EndpointReport(
                    address=endpoint.address,
                    ready=endpoint.is_ready,
                    backlog_s=endpoint.backlog_s,
                    num_open=endpoint.num_open,
                    load=endpoint.load,
                )
                for endpoint in self.endpoints(now_s=now_s)
            ]
        )

    def _view(self, record: _Record, now_s: float) -> Endpoint:
        age_s = now_s - record.asked_s
        is_known = age_s <= self._stale_after_s
        return Endpoint(
            address=record.address,
            is_ready=self._is_ready(record, age_s),
            is_known=is_known,
            backlog_s=_backlog_s(record, age_s if is_known else None),
            num_open=len(record.fresh) + len(record.counted),
            load=record.load if is_known else None,
        )

    def _is_ready(self, record: _Record, age_s: float) -> bool:
        if record.load is None or record.set_aside_s >= record.asked_s:
            return False
        return record.load.state == "ready" and age_s <= self._lost_after_s


def _backlog_s(record: _Record, age_s: float | None) -> float:
    """Return the work left at an endpoint; `age_s` is its report's, None for a stale one."""
    own_s = sum(ticket.cost_s for ticket in record.fresh)
    if age_s is None or record.load is None:
        return own_s + sum(ticket.cost_s for ticket in record.counted)
    return own_s + max(record.load.backlog_s - age_s, 0.0)
