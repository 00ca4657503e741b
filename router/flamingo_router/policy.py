"""Which endpoint gets the next request.

The rule is *least work left*: send it where it is finished first, counting what is
there already and what it costs there. Counting requests would call a pod busy with
one 20-minute song as idle as a pod busy with one 5-second clip; seconds tell them
apart.

An endpoint whose report is missing comes last, whatever we sent it ourselves: silence
is not idleness.

Pure: reads no clock and changes nothing. The caller takes out the ticket
(`Fleet.reserve`), so a request that is never sent leaves no trace.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from flamingo.errors import NoEndpointReady, Overloaded
from flamingo_router.fleet import Endpoint

RETRY_S = 5.0
"""When to ask again a fleet with nothing ready: pods come back in seconds or in minutes."""
MIN_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Offer:
    """An endpoint, and what the request would cost there."""

    endpoint: Endpoint
    cost_s: float

    @property
    def finished_s(self) -> float:
        """When the request would be done there."""
        return self.endpoint.backlog_s + self.cost_s


def choose(offers: Iterable[Offer], *, ceiling_s: float) -> Offer:
    """Return the offer of a ready endpoint that is finished first; equal ones by address.

    Raises:
        NoEndpointReady: no endpoint is ready at all.
        Overloaded: some are ready, but the emptiest holds more than `ceiling_s`;
            it carries how long to stay away.
    """
    ready = [offer for offer in offers if offer.endpoint.is_ready]
    if not ready:
        raise NoEndpointReady("no pod is ready", retry_after_s=RETRY_S)
    open_ones = [offer for offer in ready if offer.endpoint.backlog_s <= ceiling_s]
    if not open_ones:
        over_s = min(offer.endpoint.backlog_s for offer in ready) - ceiling_s
        raise Overloaded(
            "every pod holds as much work as it may", retry_after_s=max(over_s, MIN_RETRY_S)
        )
    return min(open_ones, key=_rank)


def _rank(offer: Offer) -> tuple[bool, float, str]:
    endpoint = offer.endpoint
    return not endpoint.is_known, offer.finished_s, endpoint.address
