"""Which endpoint gets the next request.

The rule is *least work left*: send it where it is finished first, counting what is
there already and what it costs there. Counting requests would call a pod busy with
one 20-minute song as idle as a pod busy with one 5-second clip; seconds tell them
apart. A pod that still holds the clip is charged for the answer only, so it wins
unless it is that much busier: one unit, no weights between unlike things.

An endpoint whose report is missing comes last, whatever we sent it ourselves: silence
is not idleness. One without room for the clip's keys and values comes after those
that have it.

The other policies are there to compare with.

Pure: reads no clock, and dice are handed in. The caller takes out the ticket
(`Fleet.reserve`), so a request that is never sent leaves no trace.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flamingo_common.errors import NoEndpointReady, Overloaded
from flamingo_router.balancing.cost import Cost
from flamingo_router.balancing.fleet import Endpoint

RETRY_S = 5.0
"""When to ask again a fleet with nothing ready: pods come back in seconds or in minutes."""
MIN_RETRY_S = 1.0
DECODING_SHARE = 0.3
"""Of the seconds that a pod's answers still take, what a new prompt feels of them."""
BEHIND_SHARE = 0.3
"""Of the work that this request would overtake at a pod, what counts all the same: what is
overtaken for ever keeps long clips waiting. At 0 they wait three times as long, at 1 short ones do
half as long again (`tests/bench/router_sim.py`)."""
TIE_S = 1e-3
"""Equal within this: several routers must not all take the first."""

Roll = Callable[[], float]
"""Dice: evenly in [0, 1)."""


class Offer(NamedTuple):
    """An endpoint, and what the request would cost there."""

    endpoint: Endpoint
    cost: Cost
    num_kv_tokens: float = 0.0
    is_held: bool = False
    """Whether the endpoint is believed to hold the request's clip."""

    @property
    def finished_s(self) -> float:
        """When the request would be done there.

        A pod prefills what is soonest done, a window at a time: of each request that waits
        there, no more stands before this one than this one is long. Decoding goes on in steps
        beside it, and takes a part of each.
        """
        queued_s = self.endpoint.queued_s
        decoding_s = max(self.endpoint.backlog_s - queued_s, 0.0)
        return self._ahead_s(queued_s) + DECODING_SHARE * decoding_s + self.cost.total_s

    def _ahead_s(self, queued_s: float) -> float:
        """Return what of the work that waits there counts."""
        if self.is_held:  # its clip may be in that work, and is not there before it
            return queued_s
        ahead_s = min(queued_s, max(self.endpoint.num_ahead, 1) * self.cost.prefill_s)
        return ahead_s + BEHIND_SHARE * (queued_s - ahead_s)

    @property
    def fits(self) -> bool:
        """Whether its keys and values find room there now."""
        free = self.endpoint.num_free_kv_tokens
        return free is None or self.num_kv_tokens <= free


class Policy(Protocol):
    """Chooses among offers."""

    knows_clips: bool
    """Whether a clip that a pod holds is charged less there."""
    binds_late: bool
    """Whether requests wait in the router while every pod is busy."""

    def pick(self, offers: Sequence[Offer], roll: Roll) -> Offer:
        """Return the best of `offers`, of which there is one at least."""


@dataclass(slots=True)
class LeastWorkLeft:
    """Where the request is finished first."""

    knows_clips: bool = True
    binds_late: bool = True

    def pick(self, offers: Sequence[Offer], roll: Roll) -> Offer:
        """Return the offer that is finished first."""
        return min(offers, key=lambda offer: _by_work(offer, roll))


@dataclass(slots=True)
class LeastConnections:
    """Where the fewest requests are open: what most balancers do."""

    knows_clips: bool = False
    binds_late: bool = False

    def pick(self, offers: Sequence[Offer], roll: Roll) -> Offer:
        """Return the offer with the fewest open requests."""
        return min(offers, key=lambda offer: (_num_open(offer.endpoint), roll()))


@dataclass(slots=True)
class RoundRobin:
    """One after the other."""

    knows_clips: bool = False
    binds_late: bool = False
    _last: str = ""

    def pick(self, offers: Sequence[Offer], roll: Roll) -> Offer:
        """Return the next offer by address."""
        del roll
        ordered = sorted(offers, key=lambda offer: offer.endpoint.address)
        later = (offer for offer in ordered if offer.endpoint.address > self._last)
        chosen = next(later, ordered[0])
        self._last = chosen.endpoint.address
        return chosen


POLICIES: Mapping[str, Callable[[], Policy]] = {
    "least-work-left": LeastWorkLeft,
    "least-work-left-plain": lambda: LeastWorkLeft(knows_clips=False, binds_late=False),
    "least-connections": LeastConnections,
    "round-robin": RoundRobin,
}


def choose(offers: Iterable[Offer], *, policy: Policy, max_backlog_s: float, roll: Roll) -> Offer:
    """Return the policy's choice among the ready endpoints.

    Raises:
        NoEndpointReady: no endpoint is ready at all.
        Overloaded: some are ready, but the emptiest holds more than `max_backlog_s`;
            it carries how long to stay away.
    """
    ready = [offer for offer in offers if offer.endpoint.is_ready]
    if not ready:
        raise NoEndpointReady("no pod is ready", retry_after_s=RETRY_S)
    open_ones = [offer for offer in ready if offer.endpoint.backlog_s <= max_backlog_s]
    if not open_ones:
        over_s = min(offer.endpoint.backlog_s for offer in ready) - max_backlog_s
        raise full(over_s)
    return policy.pick(open_ones, roll)


def full(over_s: float) -> Overloaded:
    """Return the refusal of a fleet whose emptiest pod holds `over_s` more than it may."""
    return too_long("every pod holds as much work as it may", over_s)


def too_long(told: str, wait_s: float) -> Overloaded:
    """Return the refusal of a request that had better come back in `wait_s`."""
    return Overloaded(told, retry_after_s=max(wait_s, MIN_RETRY_S))


def _by_work(offer: Offer, roll: Roll) -> tuple[bool, bool, int, float]:
    known, fits = offer.endpoint.is_known, offer.fits
    return not known, not fits, round(offer.finished_s / TIE_S), roll()


def _num_open(endpoint: Endpoint) -> int:
    """Return our own requests there, and those of others that its report counts."""
    told = endpoint.load.num_running + endpoint.load.num_waiting if endpoint.load else 0
    return max(endpoint.num_open, told)
