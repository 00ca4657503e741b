"""The work promised to one endpoint, in its two lanes.

Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flamingo_router.balancing.cost import Cost

UPLOAD_S = 2.0
"""A request still being uploaded after so long holds up nobody but itself."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """The promise of `cost` to one endpoint, taken before sending, settled once."""

    number: int
    address: str
    cost: Cost
    num_kv_tokens: float = 0.0
    """Tokens of keys and values that it will need there."""

    @property
    def cost_s(self) -> float:
        """Predicted seconds of the request if it ran alone."""
        return self.cost.total_s


@dataclass(slots=True)
class _State:
    reserved_s: float
    sent_s: float | None = None
    is_counted: bool = False
    """Whether the pod's report counts it."""
    is_answered: bool = False
    """Whether its prefill is over."""


@dataclass(slots=True)
class Ledger:
    """The tickets of one endpoint, oldest first."""

    tickets: dict[Ticket, _State] = field(default_factory=dict)
    own_s: float = 0.0
    """Seconds of all of them."""
    fresh_s: float = 0.0
    """Seconds of those that the endpoint's report does not count."""
    num_fresh_kv_tokens: float = 0.0
    _moved_s: float = float("-inf")
    """When the prefill lane last came to its next ticket."""

    def add(self, ticket: Ticket, *, now_s: float) -> None:
        """Take a ticket in."""
        self.tickets[ticket] = _State(now_s)
        self._sum_up()

    def mark_sent(self, ticket: Ticket, *, now_s: float) -> None:
        """Note that the whole request has left for the pod."""
        if ticket in self.tickets:
            self.tickets[ticket].sent_s = now_s

    def mark_answered(self, ticket: Ticket, *, now_s: float) -> None:
        """Note that the answer has begun: the prefill is over."""
        if ticket in self.tickets:
            self.tickets[ticket].is_answered = True
            self._moved_s = now_s

    def remove(self, ticket: Ticket, *, now_s: float) -> None:
        """Take a ticket out.

        Raises:
            KeyError: it is not there.
        """
        if not self.tickets.pop(ticket).is_answered:
            self._moved_s = now_s
        self._sum_up()

    def count(self, *, asked_s: float) -> None:
        """Note that a report asked for at `asked_s` counts what had arrived by then."""
        for state in self.tickets.values():
            if state.sent_s is not None and state.sent_s <= asked_s:
                state.is_counted = True
        self._sum_up()

    @property
    def num_unanswered(self) -> int:
        """How many requests wait for their first token there."""
        return sum(not state.is_answered for state in self.tickets.values())

    def queued_s(self, *, now_s: float, is_fresh_only: bool) -> float:
        """Return the prefill that is still to be done: what one more request would wait for."""
        waiting = [
            (ticket.cost.prefill_s, state)
            for ticket, state in self.tickets.items()
            if not state.is_answered
            and (state.sent_s is not None or now_s - state.reserved_s < UPLOAD_S)
            and not (is_fresh_only and state.is_counted)
        ]
        if not waiting:
            return 0.0
        first_s, first = waiting[0]
        begun_s = max(self._moved_s, first.sent_s or now_s)
        return sum(cost_s for cost_s, _ in waiting) - min(max(now_s - begun_s, 0.0), first_s)

    def _sum_up(self) -> None:
        fresh = [ticket for ticket, state in self.tickets.items() if not state.is_counted]
        self.own_s = _seconds(self.tickets)
        self.fresh_s = _seconds(fresh)
        self.num_fresh_kv_tokens = sum(ticket.num_kv_tokens for ticket in fresh)


def _seconds(tickets: Iterable[Ticket]) -> float:
    return sum(ticket.cost.prefill_s + ticket.cost.decode_s for ticket in tickets)
