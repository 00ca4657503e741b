"""Which endpoints have room for a request: the others are busy, and it waits in the router.

An endpoint is open to live requests while less than `queue_threshold_s` of live prefill waits
there: they do not count what they would overtake. Low priority has `LOW_QUEUE_S`, whatever else
waits there: it is to wait in the router, where the choice of its pod is made late, and where it
takes no memory of a pod. A pod that knows no priorities is open to it while as little waits there
in all.

While more than one tenant has asked of late, an endpoint is open to a tenant only while the
prefill of that tenant that waits there is less than its share of `FAIR_QUEUE_S`.

Pure.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flamingo_router.balancing.admission_limits import AdmissionLimits
from flamingo_router.balancing.endpoint import Endpoint
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.ledger import Owner
from flamingo_router.balancing.tenants import ActiveTenants

FAIR_QUEUE_S = 0.5
"""Prefill of all tenants together that waits at an endpoint which several tenants share: enough to
keep it busy while the next request is uploaded and decoded."""
LOW_QUEUE_S = 0.5
"""Prefill of low priority that waits at an endpoint, for the same reason: 16 windows on an H200,
and at least one request everywhere. A pod starts as many as it can, so more would only wait."""
IDLE_S = 0.02
"""Less prefill than this at an endpoint delays no request."""


@dataclass(frozen=True, slots=True)
class OpenEndpoints:
    """Tells open endpoints from busy ones; they are given as the owner's requests see them."""

    fleet: Fleet
    tenants: ActiveTenants
    limits: AdmissionLimits
    uses_queue: bool
    """Whether any endpoint is ever too busy: some policies know no queue."""

    def threshold_s(self, *, is_low: bool) -> float:
        """Return the prefill above which an endpoint is busy."""
        if not self.uses_queue:
            return math.inf
        threshold_s = self.limits.queue_threshold_s
        return min(LOW_QUEUE_S, threshold_s) if is_low else threshold_s

    def among(
        self, endpoints: Iterable[Endpoint], owner: Owner, *, now_s: float
    ) -> Iterator[Endpoint]:
        """Yield those with room for an owner; without a fresh report only if no report is fresh."""
        threshold_s = self.threshold_s(is_low=owner.is_low)
        share = self.tenants.share(owner.tenant, now_s=now_s) if self.uses_queue else 1.0
        none_known = not self.fleet.summary(now_s=now_s).num_known
        for each in endpoints:
            is_short = each.queue_s(is_low=owner.is_low) < threshold_s
            has_room = is_short and each.backlog_s <= self.limits.max_backlog_s
            is_usable = each.is_ready and (each.is_known or none_known)
            if has_room and is_usable and (share == 1 or self._has_share(each, owner, share)):
                yield each

    def recheck_after_s(self, endpoints: Iterable[Endpoint], *, is_low: bool) -> float:
        """Return in how many seconds one of them can become open merely because time passes."""
        queued = [each.queue_s(is_low=is_low) for each in endpoints if each.is_ready]
        return min(queued, default=1) - self.threshold_s(is_low=is_low)

    def _has_share(self, endpoint: Endpoint, owner: Owner, share: float) -> bool:
        """Return whether less of the owner waits at an endpoint than it is due.

        A tenant that has more than its share of the work in flight adds nothing where another one
        waits: pods do the shortest first, so the next short requests of a flood would overtake it.
        """
        queued_s = endpoint.queue_s(is_low=owner.is_low)
        own_share = self.fleet.waiting_share(endpoint.address, owner)
        if own_share < 1 and self.fleet.work_share(owner) > share:
            return queued_s < IDLE_S
        return queued_s * own_share < share * FAIR_QUEUE_S
