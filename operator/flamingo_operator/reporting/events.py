"""The Kubernetes events for what changed in a status.

One fact makes one event. A condition that changes makes one only if no other condition with the
same reason does, and a condition that merely restates others (Reconciling, Stalled, RouterReady)
makes none. What is not ready yet is of type Normal, what needs attention of type Warning.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from flamingo_operator.reporting import reasons

Json: TypeAlias = Mapping[str, Any]

SOURCES: Final = (
    "Accepted",
    "Ready",
    "Degraded",
    "Progressing",
    "BatchesReady",
    "ModelCached",
    "ScalingActive",
    "ScalingLimited",
)
"""The types of conditions whose changes make events, in this order."""
SHORT: Final = frozenset({"Recovering", "ApplyingSpec", "AwaitingDeletion"})
"""Reasons of Progressing whose end makes no event of its own."""
EVENT_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Scaled": "the desired number of server pods changed",
        "DrainStarted": "a server pod began to drain",
        "ImageOutdated": "server pods run the default image of another release of the operator",
        "NodeAvoided": "server pods are no longer placed on a node, because a GPU there failed",
        "NodeReadmitted": "server pods may be placed on the node again",
    }
)
"""The reasons of events that no condition has."""


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event about the deployment."""

    reason: str
    message: str
    is_warning: bool = False


def events(old: Json, new: Json) -> Iterator[Event]:
    """Yield the events for the change from one status to the next: transitions only."""
    yield from _scaling_events(old, new)
    yield from _condition_events(old, new)
    yield from _image_events(old, new)
    yield from _drain_events(old, new)
    yield from _node_events(old, new)


def _condition_events(old: Json, new: Json) -> Iterator[Event]:
    """Yield one event for each reason that is new, however many conditions have it."""
    before = {one["type"]: one for one in old.get("conditions", ())}
    after = {one["type"]: one for one in new["conditions"]}
    found: dict[str, Event] = {}
    for kind in SOURCES:
        condition = after.get(kind)
        if condition is None or not _is_news(condition, before.get(kind)):
            continue
        reason, message = condition["reason"], condition["message"] or condition["reason"]
        is_warning = reasons.severity(condition) == "problem"
        known = found.setdefault(reason, Event(reason, message, is_warning))
        found[reason] = replace(known, is_warning=known.is_warning or is_warning)
    if _is_ready_again(before, after):
        found.pop("AsExpected", None)  # of Degraded: Ready says so already
    yield from found.values()


def _is_ready_again(before: Mapping[str, Json], after: Mapping[str, Json]) -> bool:
    was, now = before.get("Ready", {}).get("status"), after.get("Ready", {}).get("status")
    return was != "True" and now == "True"


def _is_news(condition: Json, known: Json | None) -> bool:
    """Whether a condition gets an event: it changed status, or its reason matters."""
    severity = reasons.severity(condition)
    if known is None:
        # A signal that has not come yet is not lost.
        return severity != "ok" and condition["type"] != "ScalingActive"
    if known["status"] != condition["status"]:
        return True
    if known["reason"] == condition["reason"]:
        return False
    is_complete = condition["reason"] == "Complete" and known["reason"] not in SHORT
    return is_complete or condition["reason"] == "RolloutInProgress" or severity == "problem"


def _scaling_events(old: Json, new: Json) -> Iterator[Event]:
    """Yield an event if the number of replicas changed; while paused it does not."""
    if "plan" in new or not _is_valid(new):
        return
    now = new.get("scaling", {}).get("desiredReplicas")
    before = old.get("replicas") if "plan" in old else old.get("scaling", {}).get("desiredReplicas")
    if before is not None and before != now:
        why = new.get("scaling", {}).get("message")
        message = f"scaled from {before} to {now} replicas" + (f": {why}" if why else "")
        yield Event("Scaled", message)


def _is_valid(status: Json) -> bool:
    return all(one["reason"] != "InvalidSpec" for one in status["conditions"])


def _image_events(old: Json, new: Json) -> Iterator[Event]:
    num = new.get("outdatedReplicas", 0)
    if num and not old.get("outdatedReplicas"):
        message = f"{num} server pods run the default image of another release of the operator"
        yield Event("ImageOutdated", f"{message}; kubectl flamingo restart replaces them")


def _drain_events(old: Json, new: Json) -> Iterator[Event]:
    known = {one["pod"] for one in old.get("draining", ())}
    for one in new.get("draining", ()):
        if one["pod"] not in known:
            yield Event("DrainStarted", f"draining pod {one['pod']}")


def _node_events(old: Json, new: Json) -> Iterator[Event]:
    before = {one["node"]: one for one in old.get("avoidedNodes", ())}
    after = {one["node"]: one for one in new.get("avoidedNodes", ())}
    for node in sorted(after.keys() - before.keys()):
        message = f"no more server pods are placed on node {node}: {after[node]['message']}"
        yield Event("NodeAvoided", message, is_warning=True)
    for node in sorted(before.keys() - after.keys()):
        yield Event("NodeReadmitted", f"server pods may be placed on node {node} again")
