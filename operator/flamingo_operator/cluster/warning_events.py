"""Reads the Warning events of objects whose own status does not say why they do not advance.

Events are not watched: there are many, and few are about our objects. They are listed for
one object at a time, which the API server filters, and kept for a while.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.observed import ObjectRef

FIRST_REFRESH_S, REFRESH_S = 5.0, 30.0
"""After how long events are listed again: when there were none, and when there were some."""
MAX_OBJECTS = 5
"""Objects of one deployment that are read: the others fail for the same reason, usually."""
MAX_EVENTS = 50
MAX_CACHED = 1000

Events = tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class WarningEvents:
    """Reads and caches events. One instance serves all deployments."""

    kube: KubeClient
    _cache: dict[str, tuple[float, Events]] = field(default_factory=dict)
    """When each object's events were listed, and what they were, by uid."""

    async def read(self, refs: Iterable[ObjectRef], now_s: float) -> dict[str, Events]:
        """Return the Warning events of some objects by uid, the oldest first."""
        chosen = list(refs)[:MAX_OBJECTS]
        found = await asyncio.gather(*(self._events(one, now_s) for one in chosen))
        return {one.uid: events for one, events in zip(chosen, found, strict=True) if events}

    async def _events(self, ref: ObjectRef, now_s: float) -> Events:
        at_s, events = self._cache.get(ref.uid, (float("-inf"), ()))
        if now_s < at_s + (REFRESH_S if events else FIRST_REFRESH_S):
            return events
        events = await self._list(ref)
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[ref.uid] = now_s, events
        return events

    async def _list(self, ref: ObjectRef) -> Events:
        query = {
            "fieldSelector": f"involvedObject.uid={ref.uid},type=Warning",
            "limit": str(MAX_EVENTS),
        }
        try:
            found = await self.kube.get(kinds.EVENT.path(ref.namespace), query)
        except ApiError as error:
            # They only explain; the reconciliation does not depend on them.
            logs.get().info("events.not_read", object=ref.name, error=error.message)
            return ()
        ours = (one for one in found["items"] if one["involvedObject"].get("uid") == ref.uid)
        warnings = [one for one in ours if one.get("type") == "Warning"]
        return tuple(sorted(warnings, key=_time))


def _time(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")
