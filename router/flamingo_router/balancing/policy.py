"""The balancing policies: which endpoint gets a request.

The default is *least work left*: the endpoint where the request finishes first, counting
the work that is there already and what the request costs there. If requests were counted
instead, a pod with one 20-minute song would seem as idle as a pod with one 5-second clip. At
a pod that has the clip cached, only the generation costs anything, so it is chosen unless it
is that much busier. Load and cache are both in seconds, so there are no weights to tune.

An endpoint without a fresh report comes last, whatever this router sent to it, because it is
not known to be idle. One without room for the clip's keys and values comes after those with room.

The other policies are for comparison.

Pure: reads no clock, and the random source is an argument. The caller reserves the ticket
(`Fleet.reserve`).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flamingo_common.errors import DeadlineExceeded, NoEndpointReady, Overloaded
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.endpoint import Endpoint
from flamingo_router.balancing.random_source import RandomSource

NOT_READY_RETRY_S = 5.0
"""`Retry-After` when no pod is ready: that can last seconds or minutes."""
MIN_RETRY_S = 1.0
DECODING_SHARE = 0.3
"""The share of a pod's remaining decode time that delays a new prompt."""
BEHIND_SHARE = 0.3
"""The share that counts of the work that this request would overtake at a pod: long clips whose
work is always overtaken keep waiting. At 0 they wait three times as long; at 1 short ones take
half as long again (`tests/bench/router_sim.py`)."""
TIE_S = 1e-3
"""Finishing times within this are equal: several routers must not all choose the first."""


class Offer(NamedTuple):
    """An endpoint, and the predicted cost of the request there."""

    endpoint: Endpoint
    cost: Cost
    num_kv_tokens: float = 0.0
    is_cached: bool = False
    """Whether the endpoint is assumed to have the request's clip cached."""

    @property
    def finished_s(self) -> float:
        """In how many seconds the request would be finished there.

        A pod prefills the shortest prompt first, one window at a time: so of each request
        that waits there, at most as much as this request is long comes before it. Decoding
        continues in the same steps, and takes a part of each.
        """
        queued_s = self.endpoint.queued_s
        decoding_s = max(self.endpoint.backlog_s - queued_s, 0.0)
        return self._ahead_s(queued_s) + DECODING_SHARE * decoding_s + self.cost.total_s

    def _ahead_s(self, queued_s: float) -> float:
        """Return how much of the queued prefill delays this request, in seconds."""
        if self.is_cached:  # the work that caches its clip may be queued too
            return queued_s
        ahead_s = min(queued_s, max(self.endpoint.num_ahead, 1) * self.cost.prefill_s)
        return ahead_s + BEHIND_SHARE * (queued_s - ahead_s)

    @property
    def fits(self) -> bool:
        """Whether there is room for its keys and values now."""
        free = self.endpoint.num_free_kv_tokens
        return free is None or self.num_kv_tokens <= free


class Policy(Protocol):
    """Chooses among offers."""

    uses_cache: bool
    """Whether a request costs less at a pod that has its clip cached."""
    uses_queue: bool
    """Whether requests wait in the router while every pod is busy."""

    def pick(self, offers: Sequence[Offer], rng: RandomSource) -> Offer:
        """Return the best of `offers`, which must not be empty."""


@dataclass(slots=True)
class LeastWorkLeft:
    """Chooses the endpoint where the request finishes first."""

    uses_cache: bool = True
    uses_queue: bool = True

    def pick(self, offers: Sequence[Offer], rng: RandomSource) -> Offer:
        """Return the offer that finishes first."""
        return min(offers, key=lambda offer: _work_left_key(offer, rng))


@dataclass(slots=True)
class LeastConnections:
    """Chooses the endpoint with the fewest requests in flight, as most load balancers do."""

    uses_cache: bool = False
    uses_queue: bool = False

    def pick(self, offers: Sequence[Offer], rng: RandomSource) -> Offer:
        """Return the offer with the fewest requests in flight."""
        return min(offers, key=lambda offer: (_num_in_flight(offer.endpoint), rng.random()))


@dataclass(slots=True)
class RoundRobin:
    """Chooses the endpoints in turn."""

    uses_cache: bool = False
    uses_queue: bool = False
    _last: str = ""

    def pick(self, offers: Sequence[Offer], rng: RandomSource) -> Offer:
        """Return the next offer by address."""
        del rng
        ordered = sorted(offers, key=lambda offer: offer.endpoint.address)
        later = (offer for offer in ordered if offer.endpoint.address > self._last)
        chosen = next(later, ordered[0])
        self._last = chosen.endpoint.address
        return chosen


POLICIES: Mapping[str, Callable[[], Policy]] = {
    "least-work-left": LeastWorkLeft,
    "least-work-left-plain": lambda: LeastWorkLeft(uses_cache=False, uses_queue=False),
    "least-connections": LeastConnections,
    "round-robin": RoundRobin,
}


def choose(
    offers: Iterable[Offer], *, policy: Policy, max_backlog_s: float, rng: RandomSource
) -> Offer:
    """Return the policy's choice among the ready endpoints.

    Raises:
        NoEndpointReady: no endpoint is ready.
        Overloaded: the backlog of every ready endpoint exceeds `max_backlog_s`.
    """
    ready = [offer for offer in offers if offer.endpoint.is_ready]
    if not ready:
        raise no_endpoint_ready("no pod is ready")
    available = [offer for offer in ready if offer.endpoint.backlog_s <= max_backlog_s]
    if not available:
        raise at_capacity(min(offer.endpoint.backlog_s for offer in ready), max_backlog_s)
    return policy.pick(available, rng)


def at_capacity(backlog_s: float, max_backlog_s: float) -> Overloaded:
    """Return the error for a fleet whose least loaded pod has `backlog_s` of work."""
    return overloaded(
        f"all pods are at capacity: the least loaded one has {backlog_s:.0f} s of work"
        f" (limit: {max_backlog_s:.0f} s)",
        backlog_s - max_backlog_s,
    )


def overloaded(message: str, wait_s: float) -> Overloaded:
    """Return an error with a `Retry-After` of `wait_s`, at least `MIN_RETRY_S`."""
    retry_after_s = max(wait_s, MIN_RETRY_S)
    return Overloaded(
        f"{message}; retry in {math.ceil(retry_after_s)} s", retry_after_s=retry_after_s
    )


def check_deadline(left_s: float, wait_s: float, cost_s: float) -> None:
    """Reject a request that would be answered too late.

    Raises:
        DeadlineExceeded: the work alone takes longer than the time left; a retry does not help.
        Overloaded: the wait and the work together do; a retry can help.
    """
    if cost_s > left_s:
        raise DeadlineExceeded(
            f"the request takes {cost_s:.2f} s, but its deadline is in {left_s:.2f} s;"
            " extend the deadline"
        )
    if wait_s + cost_s > left_s:
        raise overloaded(
            f"{wait_s:.1f} s of work is queued ahead and the request takes {cost_s:.1f} s;"
            f" its deadline in {left_s:.1f} s cannot be met",
            wait_s + cost_s - left_s,
        )


def no_endpoint_ready(message: str) -> NoEndpointReady:
    """Return the error for a fleet without a ready pod."""
    return NoEndpointReady(
        f"{message}; retry in {NOT_READY_RETRY_S:.0f} s", retry_after_s=NOT_READY_RETRY_S
    )


def _work_left_key(offer: Offer, rng: RandomSource) -> tuple[bool, bool, int, float]:
    known, fits = offer.endpoint.is_known, offer.fits
    return not known, not fits, round(offer.finished_s / TIE_S), rng.random()


def _num_in_flight(endpoint: Endpoint) -> int:
    """Return the requests in flight: this router's, or all that the endpoint reports."""
    load = endpoint.load
    reported = load.num_running + load.num_waiting if load else 0
    return max(endpoint.num_in_flight, reported)
