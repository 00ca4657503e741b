"""Disruption budgets that let no pod be evicted, so that `kubectl drain` of a node waits.

The API server could refuse such a spec only together with legitimate changes: an autoscaler
that scales down to `minAvailable` must not be refused. So it is reported.

Pure.
"""

import math
from collections.abc import Iterator

from flamingo_operator.api.pod import DisruptionBudget
from flamingo_operator.api.spec import Spec

PERCENT = 100


def blocked_evictions(spec: Spec, num_servers: int) -> Iterator[str]:
    """Yield a message for each budget with which none of so many pods may be evicted."""
    servers, routers = spec.server.pdb, spec.router.pdb
    if servers is not None and num_servers and _allowed(servers, num_servers) <= 0:
        yield (
            f"server.pdb allows no eviction while {num_servers} server pods are desired; the"
            " operator replaces server pods on cordoned nodes by itself, and any other eviction"
            " waits: lower server.pdb.minAvailable, or set maxUnavailable to at least 1"
        )
    num_batches = spec.batches.replicas if spec.batches else 0
    budget = spec.batches.pdb if spec.batches else None
    if budget is not None and _allowed(budget, num_batches) <= 0:
        yield (
            f"batches.pdb allows no eviction while batches.replicas is {num_batches}, so the drain"
            " of a node waits: lower batches.pdb.minAvailable, or set maxUnavailable to at least 1"
        )
    num_routers = spec.router.replicas if spec.router.enabled else None
    if routers is not None and num_routers and _allowed(routers, num_routers) <= 0:
        yield (
            f"router.pdb allows no eviction of {num_routers} router pods, so the drain of their"
            " nodes waits: lower router.pdb.minAvailable, or set maxUnavailable to at least 1"
        )


def _allowed(pdb: DisruptionBudget, num: int) -> int:
    """Return how many of `num` healthy pods may be evicted."""
    if pdb.min_available is not None:
        return num - _count(pdb.min_available, num)
    return _count(pdb.max_unavailable or 0, num)


def _count(amount: int | str, num: int) -> int:
    """Return a number of pods that may be a percentage, rounded as the disruption controller."""
    if isinstance(amount, int):
        return amount
    return math.ceil(int(amount.removesuffix("%")) * num / PERCENT)
