"""The work that is reserved at one endpoint, by phase: prefill and decode.

How it works. A ticket enters the ledger when the balancer chooses the endpoint, and leaves
it when the request is over. In between it is marked three times, in any order:

- sent: the last byte of the request was sent to the pod;
- reported: the pod's load report was requested after that, so its backlog includes the
  ticket. Until then the ticket is *unreported*, and its cost is added to the report's;
- responding: the first byte of the response has arrived, so its prefill is over, and that
  of the next ticket has begun.

`backlog_s` sums all tickets, or those that a fresh report does not include. What a client has
not uploaded yet cannot be computed: a request whose upload takes longer than `UPLOAD_S` counts
by the share of it that has arrived. Until then it counts in full, so that requests that
arrive at the same time are spread evenly. `queued_s` estimates the remaining prefill: the sum of
the tickets that are not responding yet, less the time that the first of them has been running.

Pure.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from flamingo_router.balancing.cost import Cost

UPLOAD_S = 2.0
"""A request that is still being uploaded after this long delays no other request, and counts only
by what has arrived of it."""


class Owner(NamedTuple):
    """Whose work it is: a tenant's, and of which kind. Each kind is shared fairly by itself."""

    tenant: str = ""
    is_low: bool = False
    """Whether it has low priority, or is live."""


ANONYMOUS = Owner()
"""The owner of live work where there are no API keys."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A reservation of `cost` at one endpoint, made before sending and settled exactly once."""

    number: int
    address: str
    cost: Cost
    num_kv_tokens: float = 0.0
    """Tokens of the pod's KV cache that the request needs."""
    owner: Owner = ANONYMOUS

    @property
    def cost_s(self) -> float:
        """Predicted seconds of the request if it ran alone."""
        return self.cost.total_s


@dataclass(slots=True)
class _TicketState:
    reserved_s: float
    arrived_share: float = 0.0
    """How much of the request the client has uploaded."""
    sent_s: float | None = None
    is_reported: bool = False
    """Whether the pod's report includes it."""
    is_responding: bool = False
    """Whether its prefill is over."""

    def counted_share(self, now_s: float) -> float:
        """Return how much of its cost is counted."""
        is_due = self.sent_s is not None or now_s - self.reserved_s < UPLOAD_S
        return 1.0 if is_due else self.arrived_share


@dataclass(slots=True)
class Ledger:
    """The tickets of one endpoint, oldest first."""

    tickets: dict[Ticket, _TicketState] = field(default_factory=dict)
    _uploading: dict[Ticket, _TicketState] = field(default_factory=dict)
    """The tickets that are not sent."""
    _sent_s: float = 0.0
    """Seconds of the tickets that are sent."""
    _unreported_s: float = 0.0
    """Seconds of those that the endpoint's report does not include."""
    _num_unreported_kv_tokens: float = 0.0
    _prefill_started_s: float = float("-inf")
    """When the prefill of the current ticket started, at the earliest."""

    def add(self, ticket: Ticket, *, now_s: float) -> None:
        """Add a ticket."""
        self.tickets[ticket] = self._uploading[ticket] = _TicketState(now_s)

    def mark_arrived(self, ticket: Ticket, share: float) -> None:
        """Record how much of the request has arrived from the client."""
        if ticket in self._uploading:
            self._uploading[ticket].arrived_share = share

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Record that the whole request was sent to the pod."""
        if ticket in self.tickets:
            self.tickets[ticket].sent_s = now_s
            self._uploading.pop(ticket, None)
            self._update_sums()

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
        self._uploading.pop(ticket, None)
        self._update_sums()

    def waiting_share(self, owner: Owner) -> float:
        """Return how much of the prefill of its kind that waits is one owner's; 1 of none."""
        waiting = [
            each
            for each, state in self.tickets.items()
            if not state.is_responding and each.owner.is_low is owner.is_low
        ]
        total_s = sum(each.cost.prefill_s for each in waiting)
        own_s = sum(each.cost.prefill_s for each in waiting if each.owner == owner)
        return own_s / total_s if total_s else 1.0

    def backlog_s(self, *, now_s: float, unreported_only: bool) -> float:
        """Return the seconds of all tickets, or of those that the endpoint's report lacks."""
        sent_s = self._unreported_s if unreported_only else self._sent_s
        uploading = self._uploading.items()
        return sent_s + sum(each.cost_s * state.counted_share(now_s) for each, state in uploading)

    def low_backlog_s(self, *, now_s: float, unreported_only: bool) -> float:
        """Return the part of `backlog_s` that has low priority."""
        return sum(
            each.cost_s * (1.0 if state.sent_s is not None else state.counted_share(now_s))
            for each, state in self.tickets.items()
            if each.owner.is_low and not (unreported_only and state.is_reported)
        )

    def num_unreported_kv_tokens(self, *, now_s: float) -> float:
        """Return the KV tokens of the tickets that the endpoint's report does not include."""
        return self._num_unreported_kv_tokens + sum(
            each.num_kv_tokens * state.counted_share(now_s)
            for each, state in self._uploading.items()
        )

    @property
    def num_waiting(self) -> int:
        """The number of requests that wait for their first token."""
        return sum(not state.is_responding for state in self.tickets.values())

    @property
    def num_low_waiting(self) -> int:
        """Those of them that have low priority."""
        tickets = self.tickets.items()
        return sum(each.owner.is_low and not state.is_responding for each, state in tickets)

    def queued_s(self, *, now_s: float, unreported_only: bool, only_low: bool = False) -> float:
        """Return the prefill that is left to do: what one more request would wait for.

        `only_low`: of low priority, all of it, as what is computed first is not known.
        """
        waiting = [
            (ticket.cost.prefill_s, state)
            for ticket, state in self.tickets.items()
            if not state.is_responding
            and (ticket.owner.is_low or not only_low)
            and (state.sent_s is not None or now_s - state.reserved_s < UPLOAD_S)
            and not (unreported_only and state.is_reported)
        ]
        if not waiting or only_low:
            return sum(cost_s for cost_s, _ in waiting)
        first_s, first = waiting[0]
        started_s = max(self._prefill_started_s, first.sent_s or now_s)
        return sum(cost_s for cost_s, _ in waiting) - min(max(now_s - started_s, 0.0), first_s)

    def _update_sums(self) -> None:
        sent = [each for each in self.tickets.items() if each[1].sent_s is not None]
        unreported = [ticket for ticket, state in sent if not state.is_reported]
        self._sent_s = sum(ticket.cost_s for ticket, _ in sent)
        self._unreported_s = sum(ticket.cost_s for ticket in unreported)
        self._num_unreported_kv_tokens = sum(ticket.num_kv_tokens for ticket in unreported)
