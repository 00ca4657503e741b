"""Which tenants have asked of late, and the share of the fleet that each is due.

Pure: time is an argument.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

ACTIVE_S = 60.0
"""How long after its last request a tenant counts as active."""


@dataclass(slots=True)
class ActiveTenants:
    """The tenants by name."""

    _seen: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    """When each asked last, and its weight; the one that asked longest ago is first."""
    _weight: float = 0.0
    """The sum of all weights."""

    def record(self, tenant: str, weight: float, *, now_s: float) -> None:
        """Record a request."""
        _, known = self._seen.pop(tenant, (0.0, 0.0))
        self._seen[tenant] = now_s, weight
        self._weight += weight - known
        self._drop_idle(now_s)

    def share(self, tenant: str, *, now_s: float) -> float:
        """Return the tenant's share of all active ones; 1 when there is no other."""
        self._drop_idle(now_s)
        _, weight = self._seen.get(tenant, (0.0, 0.0))
        if len(self._seen) < 1 + (tenant in self._seen):
            return 1.0
        return min(weight / self._weight, 1.0)

    def _drop_idle(self, now_s: float) -> None:
        while self._seen:
            seen_s, weight = next(iter(self._seen.values()))
            if seen_s > now_s - ACTIVE_S:
                return
            self._seen.popitem(last=False)
            self._weight -= weight
