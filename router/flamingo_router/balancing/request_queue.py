"""The router's queue: live requests, and behind them those of low priority.

Each of the two is fair between tenants by itself, so a tenant's batch does not count against its
live requests. Neither does low priority count for what live requests wait for, nor for the limits
up to which they are queued.

Pure: time is an argument.
"""

from collections.abc import Callable, Iterator

from flamingo_router.balancing.fair_queue import FairQueue, QueuedRequest
from flamingo_router.balancing.ledger import Owner
from flamingo_router.balancing.request_info import RequestInfo


class RequestQueue:
    """Requests of all tenants and priorities; falsy when it is empty."""

    def __init__(self) -> None:
        self.live = FairQueue()
        self.low = FairQueue()

    def __len__(self) -> int:
        return len(self.live) + len(self.low)

    def __iter__(self) -> Iterator[QueuedRequest]:
        yield from self.live
        yield from self.low

    @property
    def work_s(self) -> float:
        """Predicted seconds of all requests that wait."""
        return self.live.work_s + self.low.work_s

    @property
    def audio_s(self) -> float:
        """Seconds of audio of all requests that wait."""
        return self.live.audio_s + self.low.audio_s

    def push(self, queued: QueuedRequest) -> None:
        """Add a request."""
        self.of_kind(queued.info).push(queued)

    def remove(self, queued: QueuedRequest) -> None:
        """Remove a request that was cancelled; does nothing if it has already left."""
        self.of_kind(queued.info).remove(queued)

    def pop(self, may_go: Callable[[Owner], bool]) -> QueuedRequest | None:
        """Remove and return the next request of an owner that `may_go`; None: there is none."""
        live = self.live.pop(lambda tenant: may_go(Owner(tenant, is_low=False)))
        return live or self.low.pop(lambda tenant: may_go(Owner(tenant, is_low=True)))

    def of_kind(self, info: RequestInfo) -> FairQueue:
        """Return the queue in which such a request waits."""
        return self.low if info.priority.is_low else self.live

    def counted(self, info: RequestInfo) -> tuple[int, float]:
        """Return how many requests count for the limits of a new one, and seconds of audio."""
        if info.priority.is_low:
            return len(self), self.audio_s
        return len(self.live), self.live.audio_s

    def of(self, info: RequestInfo) -> tuple[int, float]:
        """Return how many of these are of the same tenant, and the seconds of their audio."""
        num, audio_s = self.live.of(info.tenant)
        if not info.priority.is_low:
            return num, audio_s
        num_low, low_audio_s = self.low.of(info.tenant)
        return num + num_low, audio_s + low_audio_s

    def work_before_s(self, info: RequestInfo, order: float) -> float:
        """Return the predicted work that is dispatched before a new request of `order`."""
        before_s = self.of_kind(info).work_before_s(info, order)
        return before_s + self.live.work_s if info.priority.is_low else before_s

    def oldest_since_s(self) -> float | None:
        """Return when the oldest request was queued; None when the queue is empty."""
        return min((queued.since_s for queued in self), default=None)
