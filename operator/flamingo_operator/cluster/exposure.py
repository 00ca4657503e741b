"""How an object is reachable from outside the cluster, as its controller reports it.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_NEEDED = ("Accepted", "ResolvedRefs")
"""Conditions of a route or an InferencePool that its gateway sets."""


@dataclass(frozen=True, slots=True)
class ParentStatus:
    """What a gateway reports about a route or an InferencePool that is attached to it."""

    namespace: str
    """Empty: that of the object."""
    name: str
    section: str = ""
    """The listener; empty for all."""
    refusal: str = ""
    """Why the gateway does not serve it; empty if it does."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How an object is reachable from outside the cluster."""

    addresses: tuple[str, ...] = ()
    """Addresses of the load balancer of a Service or an Ingress."""
    parents: tuple[ParentStatus, ...] = ()
    """Gateways that have looked at the current HTTPRoute or InferencePool."""


NOT_EXPOSED = Exposure()


def parse_exposure(raw: Mapping[str, Any]) -> Exposure:
    """Return how an object is reachable."""
    status = raw.get("status") or {}
    balancer = (status.get("loadBalancer") or {}).get("ingress") or ()
    addresses = tuple(one.get("ip") or one.get("hostname") or "" for one in balancer)
    generation = raw["metadata"].get("generation", 0)
    parents = tuple(_parents(status.get("parents") or (), generation))
    if not addresses and not parents:
        return NOT_EXPOSED
    return Exposure(tuple(filter(None, addresses)), parents)


def _parents(statuses: Any, generation: int) -> Iterator[ParentStatus]:
    for one in statuses:
        conditions = {
            condition["type"]: condition
            for condition in one.get("conditions") or ()
            if condition.get("observedGeneration", generation) >= generation
        }
        if conditions.get("Accepted", {}).get("status") in ("True", "False"):
            refusals = (_refusal(conditions[kind]) for kind in _NEEDED if kind in conditions)
            parent = one.get("parentRef") or {}
            yield ParentStatus(
                namespace=parent.get("namespace") or "",
                name=parent.get("name") or "",
                section=parent.get("sectionName") or "",
                refusal=next(filter(None, refusals), ""),
            )


def _refusal(condition: Mapping[str, Any]) -> str:
    if condition.get("status") != "False":
        return ""
    reason, message = condition.get("reason", ""), condition.get("message", "")
    return f"{reason}: {message}" if message else str(reason) or "not accepted"
