"""kstatus' rules for a kind that it does not know: what Helm and Flux conclude from an object.

Written after `checkGenericProperties` and `checkReadyCondition` of sigs.k8s.io/cli-utils
(pkg/kstatus/status), in their order.
"""

from collections.abc import Mapping
from typing import Any


def status_of(body: Mapping[str, Any]) -> str:
    """Return Terminating, InProgress, Failed or Current."""
    if body["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = body.get("status", {})
    generation, observed = body["metadata"].get("generation"), status.get("observedGeneration")
    if generation is not None and observed is not None and observed != generation:
        return "InProgress"
    conditions = status.get("conditions", ())
    for one in conditions:
        if one["type"] == "Reconciling" and one["status"] == "True":
            return "InProgress"
        if one["type"] == "Stalled" and one["status"] == "True":
            return "Failed"
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), "True")
    # Without any condition that it knows, an object counts as current.
    return "Current" if ready == "True" else "InProgress"
