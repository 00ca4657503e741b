"""Whether a pod that is not ready was ready before, and whether a Deployment is rolled out.

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from flamingo_operator.api import timestamps

Object: TypeAlias = Mapping[str, Any]


def is_lost(ready: Object, containers: Sequence[Object]) -> bool:
    """Whether a pod is not ready and was ready before, or its container was restarted.

    The condition of a new pod is older than its container; a later transition is one from ready.
    """
    if ready.get("status") != "False":
        return False
    since_s = timestamps.parse_optional(ready.get("lastTransitionTime")) or 0.0
    started = (one.get("state", {}).get("running") or {} for one in containers)
    started_s = [timestamps.parse(one["startedAt"]) for one in started if "startedAt" in one]
    is_later = bool(started_s) and since_s > max(started_s)
    return is_later or any(one.get("restartCount", 0) for one in containers)


def is_rolled_out(deployment: Object) -> bool:
    """Whether a Deployment has only replicas of its template, and they are available."""
    status, num = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return all(status.get(count, 0) == num for count in counts)
