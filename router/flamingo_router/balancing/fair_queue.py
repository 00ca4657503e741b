"""Who waits in the router, and who is next.

Between tenants: who has had the least work per weight so far (start-time fair queueing,
in predicted seconds). Within a tenant: the shortest first, where waiting makes short. A
request counts as coming later by some multiple of its predicted work, so the order never
changes while it waits, nobody starves, and a heap will do. Priority is a head start, and
only before the tenant's own requests: who calls all of its work urgent gains nothing.

Pure: time is an argument.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from flamingo_router.balancing.request_info import Ask

PATIENCE = 12.0
"""Seconds of waiting that make up for one second of predicted work."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits."""

    ask: Ask
    cost_s: float
    since_s: float
    order: float = field(init=False)
    """Who is smaller is next."""
    is_gone: bool = False

    def __post_init__(self) -> None:
        self.order = order_of(self.ask, self.cost_s, self.since_s)

    def __lt__(self, other: "Waiting") -> bool:
        return self.order < other.order


def order_of(ask: Ask, cost_s: float, since_s: float) -> float:
    """Return where such a request would stand among its tenant's."""
    return since_s + PATIENCE * cost_s + ask.priority.value


@dataclass(slots=True)
class _Tenant:
    weight: float
    had: float = 0.0
    """Predicted seconds it was given, by its weight."""
    heap: list[Waiting] = field(default_factory=list)
    num: int = 0


class FairQueue:
    """See the module."""

    def __init__(self) -> None:
        self.num = 0
        self.seconds = 0.0
        """Predicted work of all that wait."""
        self.audio_s = 0.0
        self._tenants: dict[str, _Tenant] = {}
        """Those who wait for something."""
        self._clock = 0.0
        """What the last tenant served had had."""

    def __iter__(self) -> Iterator[Waiting]:
        for tenant in self._tenants.values():
            yield from (waiting for waiting in tenant.heap if not waiting.is_gone)

    def push(self, waiting: Waiting) -> None:
        """Let a request wait."""
        name = waiting.ask.tenant
        tenant = self._tenants.get(name)
        if tenant is None:
            # Who comes back after a pause has no claim to what was not asked for.
            tenant = self._tenants[name] = _Tenant(waiting.ask.weight, self._clock)
        tenant.weight = waiting.ask.weight
        heapq.heappush(tenant.heap, waiting)
        tenant.num += 1
        self._count(waiting, 1)

    def pop(self) -> Waiting:
        """Return who is next, which waits no longer.

        Raises:
            IndexError: nobody waits.
        """
        if not self._tenants:
            raise IndexError("nobody waits")
        tenant = min(self._tenants.values(), key=lambda each: each.had)
        waiting = heapq.heappop(tenant.heap)
        while waiting.is_gone:
            waiting = heapq.heappop(tenant.heap)
        self._clock = tenant.had
        tenant.had += waiting.cost_s / tenant.weight
        self._leave(waiting)
        return waiting

    def remove(self, waiting: Waiting) -> None:
        """Forget a request that gave up; one that waits no longer is none of ours."""
        if not waiting.is_gone:
            self._leave(waiting)

    def seconds_before(self, order: float) -> float:
        """Return the predicted work of those that come before one of this `order`."""
        return sum(waiting.cost_s for waiting in self if waiting.order <= order)

    def oldest_s(self) -> float | None:
        """Return since when somebody waits."""
        return min((waiting.since_s for waiting in self), default=None)

    def _leave(self, waiting: Waiting) -> None:
        waiting.is_gone = True
        self._count(waiting, -1)
        tenant = self._tenants[waiting.ask.tenant]
        tenant.num -= 1
        if not tenant.num:
            self._clock = max(self._clock, tenant.had)
            del self._tenants[waiting.ask.tenant]
        elif len(tenant.heap) > 2 * tenant.num + 16:  # mostly those that gave up
            tenant.heap = [each for each in tenant.heap if not each.is_gone]
            heapq.heapify(tenant.heap)

    def _count(self, waiting: Waiting, sign: int) -> None:
        self.num += sign
        self.seconds = self.seconds + sign * waiting.cost_s if self.num else 0.0
        self.audio_s = self.audio_s + sign * waiting.ask.audio_s if self.num else 0.0
