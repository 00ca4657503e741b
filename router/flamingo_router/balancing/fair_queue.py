"""The requests that wait in the router, and which of them is next.

How it works. Between tenants it is start-time fair queueing over predicted seconds: each
tenant has a virtual time, its dispatched work divided by its weight, and the tenant with
the smallest is next. A tenant that joins, or comes back after a pause, starts at the virtual
time of the last tenant served: unused time gives no credit.

Within a tenant it is shortest job first with aging. A request's `order` is the time at which
it was queued plus `AGING` times its predicted cost, so a short request overtakes a long one
only while the long one has not waited `AGING` times the difference. The order never changes
while a request waits, so a heap suffices and no request starves. A priority is a head start in
seconds, and applies only within the tenant, so raising it for all requests has no effect.

A cancelled request stays in its heap, marked as removed, until most of the heap is removed.

Pure: time is an argument.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from flamingo_common.wire.priority import Priority
from flamingo_router.balancing.request_info import RequestInfo

AGING = 12.0
"""Seconds of waiting that make up for one second of predicted work."""
HEAD_START_S = {Priority.HIGH: 60.0, Priority.NORMAL: 0.0, Priority.LOW: -60.0}
"""Seconds that a request counts as having waited longer than it has, within its tenant."""


@dataclass(slots=True, eq=False)
class QueuedRequest:
    """A request that waits for a ticket."""

    info: RequestInfo
    cost_s: float
    since_s: float
    order: float = field(init=False)
    """The smallest is next."""
    is_removed: bool = False
    """Whether it has left the queue, dispatched or cancelled."""

    def __post_init__(self) -> None:
        self.order = queue_order(self.info, self.cost_s, self.since_s)

    def __lt__(self, other: "QueuedRequest") -> bool:
        return self.order < other.order


def queue_order(info: RequestInfo, cost_s: float, since_s: float) -> float:
    """Return the sort key of such a request within its tenant; the smallest is next."""
    return since_s + AGING * cost_s - HEAD_START_S[info.priority]


@dataclass(slots=True)
class _TenantQueue:
    weight: float
    virtual_s: float = 0.0
    """Predicted seconds of its dispatched requests, divided by its weight."""
    heap: list[QueuedRequest] = field(default_factory=list)
    num_waiting: int = 0
    work_s: float = 0.0
    audio_s: float = 0.0


def _precedes(queued: QueuedRequest, order: float) -> bool:
    return not queued.is_removed and queued.order <= order


class FairQueue:
    """Requests of all tenants; falsy when it is empty."""

    def __init__(self) -> None:
        self.work_s = 0.0
        """Predicted seconds of all requests that wait."""
        self.audio_s = 0.0
        self._num_waiting = 0
        self._tenants: dict[str, _TenantQueue] = {}
        """The tenants that have requests waiting."""
        self._virtual_s = 0.0
        """The virtual time of the last tenant served."""

    def __len__(self) -> int:
        return self._num_waiting

    def __iter__(self) -> Iterator[QueuedRequest]:
        for tenant in self._tenants.values():
            yield from (queued for queued in tenant.heap if not queued.is_removed)

    def push(self, queued: QueuedRequest) -> None:
        """Add a request."""
        name = queued.info.tenant
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _TenantQueue(queued.info.weight, self._virtual_s)
        tenant.weight = queued.info.weight
        heapq.heappush(tenant.heap, queued)
        self._update_sums(queued, tenant, 1)

    def of(self, tenant: str) -> tuple[int, float]:
        """Return how many requests of one tenant wait, and the seconds of their audio."""
        known = self._tenants.get(tenant)
        return (known.num_waiting, known.audio_s) if known else (0, 0.0)

    def pop(self, may_go: Callable[[str], bool] = lambda _: True) -> QueuedRequest | None:
        """Remove and return the next request of the tenants that `may_go`; None: there is none."""
        allowed = [each for name, each in self._tenants.items() if may_go(name)]
        if not allowed:
            return None
        tenant = min(allowed, key=lambda each: each.virtual_s)
        queued = heapq.heappop(tenant.heap)
        while queued.is_removed:
            queued = heapq.heappop(tenant.heap)
        self._virtual_s = tenant.virtual_s
        tenant.virtual_s += queued.cost_s / tenant.weight
        self._discard(queued)
        return queued

    def remove(self, queued: QueuedRequest) -> None:
        """Remove a request that was cancelled; does nothing if it has already left."""
        if not queued.is_removed:
            self._discard(queued)

    def work_before_s(self, info: RequestInfo, order: float) -> float:
        """Return the predicted work that is dispatched before a new request of `order`.

        That is the work of its own tenant that precedes it, and as much of each other tenant as
        that one gets until then: its virtual time reaches the request's.
        """
        own = self._tenants.get(info.tenant)
        before_s = sum(each.cost_s for each in (own.heap if own else ()) if _precedes(each, order))
        start_s = (own.virtual_s if own else self._virtual_s) + before_s / info.weight
        return before_s + sum(
            min(max(start_s - each.virtual_s, 0.0) * each.weight, each.work_s)
            for each in self._tenants.values()
            if each is not own
        )

    def oldest_since_s(self) -> float | None:
        """Return when the oldest request was queued; None when the queue is empty."""
        return min((queued.since_s for queued in self), default=None)

    def _discard(self, queued: QueuedRequest) -> None:
        queued.is_removed = True
        tenant = self._tenants[queued.info.tenant]
        self._update_sums(queued, tenant, -1)
        if not tenant.num_waiting:
            self._virtual_s = max(self._virtual_s, tenant.virtual_s)
            del self._tenants[queued.info.tenant]
        elif len(tenant.heap) > 2 * tenant.num_waiting + 16:  # mostly removed ones
            tenant.heap = [each for each in tenant.heap if not each.is_removed]
            heapq.heapify(tenant.heap)

    def _update_sums(self, queued: QueuedRequest, tenant: _TenantQueue, sign: int) -> None:
        tenant.num_waiting += sign
        tenant.work_s += sign * queued.cost_s
        tenant.audio_s += sign * queued.info.audio_s
        self._num_waiting += sign
        self.work_s = self.work_s + sign * queued.cost_s if self else 0.0
        self.audio_s = self.audio_s + sign * queued.info.audio_s if self else 0.0
