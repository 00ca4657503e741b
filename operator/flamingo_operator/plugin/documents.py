"""What `-o json` and `-o yaml` print. The shapes are documented in `docs/kubectl.md` and stable.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from flamingo_operator.diagnosis.failures import FailureCount
from flamingo_operator.forecast import Forecast, summary
from flamingo_operator.plugin.revision_history import HistoryRow
from flamingo_operator.plugin.spec_diff import FieldChange
from flamingo_operator.plugin.views import ServerRow, desired_replicas, server_state

Json: TypeAlias = Mapping[str, Any]

REPLICA_COUNTS = {
    "current": "replicas",
    "ready": "readyReplicas",
    "updated": "updatedReplicas",
    "draining": "drainingReplicas",
}


def items(found: Iterable[Json]) -> Json:
    """Return a list as a document."""
    return {"items": list(found)}


def status(deployment: Json, failures: Sequence[FailureCount] | None = None) -> Json:
    """Return the state of a deployment; `failures` as the plugin found them, or the reported."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    reported = deployment.get("status") or {}
    desired = desired_replicas(deployment)
    counts = {name: reported.get(field) for name, field in REPLICA_COUNTS.items()}
    found = reported.get("failures", []) if failures is None else map(_failure, failures)
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "model": spec["model"]["id"],
        "url": reported.get("url"),
        "paused": bool(spec.get("paused")),
        "suspended": bool(spec.get("suspend")),
        "generation": metadata.get("generation"),
        "observedGeneration": reported.get("observedGeneration"),
        "replicas": {"desired": desired if isinstance(desired, int) else None, **counts},
        "conditions": reported.get("conditions", []),
        "failures": list(found),
        "avoidedNodes": reported.get("avoidedNodes", []),
        "plan": reported.get("plan"),
    }


def _failure(one: FailureCount) -> Json:
    return {
        "reason": one.reason,
        "component": one.component,
        "count": one.count,
        "samplePod": one.sample_pod or None,
        "message": one.message,
        "hint": one.hint,
        "since": one.since,
    }


def server_load(row: ServerRow) -> Json:
    """Return a server pod and its load, which is null if it cannot be read."""
    load = row.load
    usage = None
    if load is not None and load.num_kv_tokens and load.num_kv_tokens_used is not None:
        usage = load.num_kv_tokens_used / load.num_kv_tokens
    return {
        "pod": row.pod["metadata"]["name"],
        "node": row.pod["spec"].get("nodeName"),
        "gpu": None if row.gpu == "-" else row.gpu,
        "state": server_state(row),
        "backlogSeconds": load and load.backlog_s,
        "running": load and load.num_running,
        "waiting": load and load.num_waiting,
        "kvCacheUsage": usage,
        "creationTimestamp": row.pod["metadata"].get("creationTimestamp"),
    }


def plan(
    deployment: Json, changes: Sequence[FieldChange], expected: Forecast | None
) -> dict[str, Any]:
    """Return what a manifest would change, and what the operator would do."""
    return {
        "name": deployment["metadata"]["name"],
        "namespace": deployment["metadata"]["namespace"],
        "changes": [asdict(one) for one in changes],
        "forecast": None if expected is None else forecast(expected),
    }


def forecast(found: Forecast) -> Json:
    """Return a forecast, as in status.plan."""
    return {
        "message": summary(found),
        "replacedPods": found.num_replaced,
        "createdPods": found.num_created,
        "removedPods": found.num_removed,
        "gpus": asdict(found.gpus),
        "actions": list(found.actions),
    }


def revision(row: HistoryRow) -> Json:
    """Return a revision of the server pods."""
    return {
        "revision": row.number,
        "name": row.hash,
        "state": row.state,
        "pods": row.num_pods,
        "image": row.image,
        "changes": list(row.changes),
        "creationTimestamp": row.created,
    }
