"""The work that is reserved at one endpoint, by phase: prefill and decode.

How it works. A ticket enters the ledger when the balancer chooses the endpoint, and leaves
it when the request is over. In between it is marked three times, in any order:

- sent: the last byte of the request was sent to the pod;
- reported: the pod's load report was requested after that, so its backlog includes the
  ticket. Until then the ticket is *unreported*, and its cost is added to the report's;
- responding: the first byte of the response has arrived, so its prefill is over, and that
  of the next ticket has begun.

`total_s` sums all tickets: the backlog where no fresh report exists. `unreported_s` sums what
a fresh report does not include. `queued_s` estimates the remaining prefill: the sum of the
tickets that are not responding yet, less the time that the first of them has been running.

Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flamingo_router.balancing.cost import Cost

UPLOAD_S = 2.0
"""A request that is still being uploaded after this long delays no other request."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A reservation of `cost` at one endpoint, made before sending and settled exactly once."""

    number: int
    address: str
    cost: Cost
    num_kv_tokens: float = 0.0
    """Tokens of the pod's KV cache that the request needs."""

    @property
    def cost_s(self) -> float:
        """Predicted seconds of the request if it ran alone."""
        return self.cost.total_s


@dataclass(slots=True)
class _TicketState:
    reserved_s: float
    sent_s: float | None = None
    is_reported: bool = False
    """Whether the pod's report includes it."""
    is_responding: bool = False
    """Whether its prefill is over."""


@dataclass(slots=True)
class Ledger:
    """The tickets of one endpoint, oldest first."""

    tickets: dict[Ticket, _TicketState] = field(default_factory=dict)
    total_s: float = 0.0
    """Seconds of all tickets."""
    unreported_s: float = 0.0
    """Seconds of the tickets that the endpoint's report does not include."""
    num_unreported_kv_tokens: float = 0.0
    _prefill_started_s: float = float("-inf")
    """When the prefill of the current ticket started, at the earliest."""

    def add(self, ticket: Ticket, *, now_s: float) -> None:
        """Add a ticket."""
        self.tickets[ticket] = _TicketState(now_s)
        self._update_sums()

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the whole request was sent to the pod."""
        if ticket in self.tickets:
            self.tickets[ticket].sent_s = now_s

    def mark_responding(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the response has begun: the prefill is over."""
        if ticket in self.tickets:
            self.tickets[ticket].is_responding = True
            self._prefill_started_s = now_s

    def mark_reported(self, *, requested_s: float) -> None:
        """Record that a report requested at `requested_s` includes what was sent by then."""
        for state in self.tickets.values():
            if state.sent_s is not None and state.sent_s <= requested_s:
                state.is_reported = True
        self._update_sums()

    def remove(self, ticket: Ticket, *, now_s: float) -> None:
        """Remove a ticket.

        Raises:
            KeyError: it is not in the ledger.
        """
        if not self.tickets.pop(ticket).is_responding:
            self._prefill_started_s = now_s
        self._update_sums()

    @property
    def num_waiting(self) -> int:
        """The number of requests that wait for their first token."""
        return sum(not state.is_responding for state in self.tickets.values())

    def queued_s(self, *, now_s: float, unreported_only: bool) -> float:
        """Return the prefill that is left to do: what one more request would wait for."""
        waiting = [
            (ticket.cost.prefill_s, state)
            for ticket, state in self.tickets.items()
            if not state.is_responding
            and (state.sent_s is not None or now_s - state.reserved_s < UPLOAD_S)
            and not (unreported_only and state.is_reported)
        ]
        if not waiting:
            return 0.0
        first_s, first = waiting[0]
        started_s = max(self._prefill_started_s, first.sent_s or now_s)
        return sum(cost_s for cost_s, _ in waiting) - min(max(now_s - started_s, 0.0), first_s)

    def _update_sums(self) -> None:
        unreported = [ticket for ticket, state in self.tickets.items() if not state.is_reported]
        self.total_s = _sum_s(self.tickets)
        self.unreported_s = _sum_s(unreported)
        self.num_unreported_kv_tokens = sum(ticket.num_kv_tokens for ticket in unreported)


def _sum_s(tickets: Iterable[Ticket]) -> float:
    return sum(ticket.cost.prefill_s + ticket.cost.decode_s for ticket in tickets)
