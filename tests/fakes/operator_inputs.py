"""Parsed deployments, demand, pods and load reports, as the operator's pure modules take them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from control_plane.deployments import INTERNAL, deployment
from fakes.clusters import Cluster

from flamingo_operator.api import names, spec, timestamps
from flamingo_operator.cluster.observed import ObjectRef, Pod
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.demand import AudioDemand, Demand
from flamingo_operator.scaling.replicas import (
    DemandAndCapacity,
    DesiredReplicas,
    ScalingState,
    desired_replicas,
)

NOW_S = 1_800_000_000.0
KEY = "default/music"
QUICK = {"minReadySeconds": 0}


def internal_deployment(**fields: Any) -> spec.FlamingoDeployment:
    """Return a deployment in scaling mode Internal."""
    scaling = {**INTERNAL, **fields.pop("scaling", {})}
    return spec.parse(deployment({"scaling": scaling, **fields}))


def demand_for(num_pods: float) -> Demand:
    """Return a demand that requires so many pods, at a utilization of 75 percent."""
    arriving = AudioDemand(work_s=0.75 * num_pods)
    none = AudioDemand()
    return Demand(arriving, none, none, 0.0, is_idle=not num_pods, is_partial=False)


def decisions(
    demands: Iterable[Demand | None],
    given: spec.FlamingoDeployment | None = None,
    *,
    state: ScalingState | None = None,
    every_s: float = 5.0,
) -> Iterator[DesiredReplicas]:
    """Yield the decision on each demand; the pods are always those that were desired."""
    state, given = state or ScalingState(), given or internal_deployment()
    for number, demand in enumerate(demands):
        num = state.autoscaler.desired if state.autoscaler else 0
        now_s = NOW_S + number * every_s
        current = DemandAndCapacity(demand)
        decision = desired_replicas(given.spec, current, state, PodCounts(num), now_s)
        state = decision.state
        yield decision


def ready_pod(**fields: Any) -> Pod:
    """Return the ready pod of a deployment of one."""
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK})
    cluster.live(3)
    (pod,) = cluster.pods.values()
    return replace(pod, **fields)


def observed_pod(name: str, **fields: Any) -> Pod:
    """Return a server pod as the operator observes it."""
    ref = ObjectRef("Pod", "default", name, f"uid-{name}", 1, "music", "u-1")
    return Pod(ref, "r", NOW_S, **fields)


def router_pod(name: str, ip: str, *, ready: str = "True") -> dict[str, Any]:
    """Return a router pod as the API server sends it."""
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "creationTimestamp": timestamps.encode(NOW_S),
            "labels": names.labels("music", "router"),
        },
        "spec": {"containers": [{"name": "router", "image": "router:1"}]},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
    }


def server_pod(name: str, ip: str) -> dict[str, Any]:
    """Return a ready server pod as the API server sends it."""
    metadata = {**router_pod(name, ip)["metadata"], "labels": names.labels("music", "server")}
    owner = {"kind": names.KIND, "uid": "u-1", "controller": True, "name": "music"}
    metadata |= {"creationTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [owner]}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node-1", "containers": []},
        "status": {"podIP": ip, "conditions": [ready]},
    }


def started_pod(name: str, ip: str) -> dict[str, Any]:
    """Return a ready server pod whose cold start can be measured."""
    raw = server_pod(name, ip)
    placed = {"type": "PodScheduled", "lastTransitionTime": "2026-01-01T00:00:02Z"}
    raw["status"]["conditions"].append({**placed, "status": "True"})
    running = {"running": {"startedAt": "2026-01-01T00:00:04Z"}}
    raw["status"]["containerStatuses"] = [{"name": "server", "state": running, "restartCount": 0}]
    return raw


def load_report(number: int) -> dict[str, Any]:
    """Return a pod's load report with one finished request."""
    timing = {"number": number, "route": "/v1/chat", "num_windows": 40}
    timing |= {"num_tokens": 9, "compute_s": 100.0}
    report = {"model": "m", "state": "ready", "epoch": "e", "sequence": 1, "backlog_s": 2.0}
    return {**report, "num_running": 0, "num_waiting": 0, "timings": [timing]}
