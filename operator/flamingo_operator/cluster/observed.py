"""What was seen of the cluster, cut down to what decisions read.

Objects are parsed at the door and then dropped: a pod with its managedFields is
20 kB, what is decided on it a few hundred bytes, and there may be ten thousand.

Pure.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_operator.api import names, timestamps
from flamingo_operator.cluster import cold_start, projection
from flamingo_operator.cluster.cold_start import ColdStartPhases

Object = Mapping[str, Any]

ROUTER_KIND = "Router"
"""What we call the kind of a router's pod, to tell it from a server's."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Which object: enough to name it, and to delete this one and no other."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: int
    deployment: str
    owner_uid: str = ""
    """Who controls it, a FlamingoDeployment as a rule; empty when nobody does."""

    @property
    def key(self) -> str:
        """The deployment it belongs to, as queues know it."""
        return names.deployment_key(self.namespace, self.deployment)


@dataclass(frozen=True, slots=True)
class Pod:
    """A server's pod."""

    ref: ObjectRef
    revision: str
    created_s: float
    ip: str = ""
    node: str = ""
    is_ready: bool = False
    ready_since_s: float = 0.0
    scheduled_s: float | None = None
    is_unschedulable: bool = False
    is_terminating: bool = False
    is_finished: bool = False
    """Failed or succeeded: it will never serve again."""
    is_serving: bool = True
    """Whether its label lets it into its Service."""
    is_drain_requested: bool = False
    """By a person: it is to be drained and replaced."""
    drain_started_s: float | None = None
    drain_until_s: float | None = None
    num_restarts: int = 0
    is_in_backoff: bool = False
    """Its kubelet waits before it starts it again, as it does after several ends in a row."""
    avoided_nodes: tuple[str, ...] = ()
    """Nodes that it must not be placed on."""
    start: ColdStartPhases | None = None
    """How it became ready; None of one that is not, or that began anew."""
    diagnosis_json: str = ""
    """JSON of what `failures` reads of a pod that is not ready: a sixth of the size as text."""

    @property
    def is_draining(self) -> bool:
        """Taken out of rotation by us, and not deleted yet."""
        return self.drain_started_s is not None and not self.is_terminating

    @property
    def is_active(self) -> bool:
        """Serves, or will."""
        return not (self.is_terminating or self.is_finished or self.drain_started_s is not None)


@dataclass(frozen=True, slots=True)
class ObservedRouter:
    """A router's pod, as far as one asks it."""

    ref: ObjectRef
    ip: str
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Revision:
    """A pod template that was once wanted, as its ControllerRevision keeps it."""

    ref: ObjectRef
    hash: str
    number: int
    template: str
    """JSON: kept as text, because text is small and seldom read."""
    progressed_s: float | None = None
    """Becoming the goal is a move; so is an old server's leaving, until its drain must end."""
    completed_s: float | None = None
    failed_s: float | None = None


@dataclass(frozen=True, slots=True)
class OwnedObject:
    """Any other object that we made."""

    ref: ObjectRef
    digest: str
    """Of what we own in it."""
    applied: str = ""
    """Digest of the manifest whose application gave `digest`, if this process saw it."""
    num_ready: int = 0
    is_complete: bool = False
    is_failed: bool = False
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as far as it tells which pod had better leave."""

    name: str
    is_cordoned: bool = False
    is_ready: bool = True
    product: str = ""
    """Its GPUs' product."""
    resources: tuple[str, ...] = ()
    """What it has of devices, by their resources' names."""
    boot_id: str = ""
    """Another one after each boot."""

    @property
    def as_object(self) -> Object:
        """What `failures` reads of a node, in the API's own form."""
        ready = {"type": "Ready", "status": "True" if self.is_ready else "False"}
        return {"metadata": {"name": self.name}, "status": {"conditions": [ready]}}


@dataclass(frozen=True, slots=True)
class AvoidedNode:
    """A node that gets no more servers of a deployment."""

    node: str
    reason: str
    message: str
    since_s: float
    boot_id: str = ""
    """The node's when it began; empty where that could not be seen."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a pod says that it holds."""

    backlog_s: float
    num_in_flight: int


@dataclass(frozen=True, slots=True)
class Observed:
    """All that belongs to one deployment."""

    pods: tuple[Pod, ...] = ()
    routers: tuple[ObservedRouter, ...] = ()
    revisions: tuple[Revision, ...] = ()
    owned: Mapping[tuple[str, str], OwnedObject] = field(default_factory=dict)
    """By kind and name."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)
    """By pod name; who is not in it has not answered."""
    avoided: tuple[AvoidedNode, ...] = ()
    """As the status has it."""
    has_pod_monitors: bool = False
    conflicts: frozenset[str] = frozenset()
    """Names of pods that belong to somebody else, such as a deployment of the same name that is
    being deleted, or to nobody, because a person took our labels off."""


def parse_ref(raw: Object, kind: str) -> ObjectRef:
    """Return which object `raw` is."""
    metadata = raw["metadata"]
    return ObjectRef(
        kind=kind,
        namespace=sys.intern(metadata.get("namespace", "")),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        deployment=sys.intern(metadata.get("labels", {}).get(names.DEPLOYMENT_LABEL, "")),
        owner_uid=sys.intern(controller_uid(raw)),
    )


def controller_uid(raw: Object) -> str:
    """Return who controls an object; nothing when nobody does."""
    owners = raw["metadata"].get("ownerReferences", ())
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def parse_pod(raw: Object) -> Pod:
    """Return a server's pod."""
    metadata, status = raw["metadata"], raw.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    ready, scheduled = conditions.get("Ready", {}), conditions.get("PodScheduled", {})
    annotations = metadata.get("annotations", {})
    is_scheduled = scheduled.get("status") == "True"
    containers = status.get("containerStatuses") or ()
    return Pod(
        ref=parse_ref(raw, "Pod"),
        revision=sys.intern(metadata["labels"].get(names.REVISION_LABEL, "")),
        created_s=timestamps.parse(metadata["creationTimestamp"]),
        ip=status.get("podIP", ""),
        node=sys.intern(raw["spec"].get("nodeName", "")),
        is_ready=ready.get("status") == "True",
        ready_since_s=timestamps.parse_optional(ready.get("lastTransitionTime")) or 0.0,
        scheduled_s=timestamps.parse_optional(scheduled.get("lastTransitionTime"))
        if is_scheduled
        else None,
        is_unschedulable=scheduled.get("reason") == "Unschedulable" and not is_scheduled,
        is_terminating="deletionTimestamp" in metadata,
        is_finished=status.get("phase") in ("Failed", "Succeeded"),
        is_serving=metadata["labels"].get(names.SERVING_LABEL) == "true",
        is_drain_requested=annotations.get(names.DRAIN_ANNOTATION) == "true",
        drain_started_s=timestamps.parse_optional(annotations.get(names.DRAIN_STARTED)),
        drain_until_s=timestamps.parse_optional(annotations.get(names.DRAIN_UNTIL)),
        num_restarts=max((one.get("restartCount", 0) for one in containers), default=0),
        is_in_backoff=any(_waits_for(one) == "CrashLoopBackOff" for one in containers),
        avoided_nodes=names.split_csv(annotations.get(names.AVOIDED_NODES, "")),
        start=cold_start.pod_phases(raw),
        diagnosis_json="" if ready.get("status") == "True" else _troubled(raw),
    )


def _waits_for(container: Object) -> str:
    waiting = container.get("state", {}).get("waiting") or {}
    return str(waiting.get("reason", ""))


def _troubled(raw: Object) -> str:
    kept = ("name", "creationTimestamp", "deletionTimestamp", "finalizers")
    metadata = {key: raw["metadata"][key] for key in kept if key in raw["metadata"]}
    containers = [
        {"name": container["name"], "image": container.get("image", "")}
        for container in raw["spec"]["containers"]
    ]
    avoids = raw["metadata"].get("annotations", {}).get(names.AVOIDED_NODES)
    if avoids:
        metadata["annotations"] = {names.AVOIDED_NODES: avoids}
    status = raw.get("status", {})
    return _text({"metadata": metadata, "spec": {"containers": containers}, "status": status})


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def parse_router(raw: Object) -> ObservedRouter:
    """Return a router's pod; one that leaves is not ready."""
    status = raw.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    is_leaving = "deletionTimestamp" in raw["metadata"]
    return ObservedRouter(
        ref=parse_ref(raw, ROUTER_KIND),
        ip=status.get("podIP", ""),
        is_ready=conditions.get("Ready") == "True" and not is_leaving,
    )


def parse_revision(raw: Object) -> Revision:
    """Return a revision."""
    annotations = raw["metadata"].get("annotations", {})
    return Revision(
        ref=parse_ref(raw, "ControllerRevision"),
        hash=raw["metadata"].get("labels", {}).get(names.REVISION_LABEL, ""),
        number=raw["revision"],
        template=_text(raw["data"]),
        progressed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_MOVED)),
        completed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_COMPLETE)),
        failed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_FAILED)),
    )


def parse_owned_object(raw: Object, kind: str) -> OwnedObject:
    """Return any other object of ours."""
    status = raw.get("status") or {}
    conditions = {one["type"] for one in status.get("conditions", ()) if one["status"] == "True"}
    return OwnedObject(
        ref=parse_ref(raw, kind),
        digest=projection.digest_of_live(raw),
        num_ready=status.get("readyReplicas", 0),
        is_complete="Complete" in conditions or status.get("phase") == "Bound",
        is_failed="Failed" in conditions or status.get("phase") == "Lost",
        is_terminating="deletionTimestamp" in raw["metadata"],
    )


def parse_node(raw: Object) -> Node:
    """Return a node."""
    conditions = {one["type"]: one["status"] for one in raw["status"].get("conditions", ())}
    return Node(
        name=raw["metadata"]["name"],
        is_cordoned=raw["spec"].get("unschedulable", False),
        is_ready=conditions.get("Ready") == "True",
        product=sys.intern(raw["metadata"].get("labels", {}).get(names.PRODUCT_LABEL, "")),
        resources=tuple(sorted(name for name in raw["status"].get("capacity", ()) if "/" in name)),
        boot_id=raw["status"].get("nodeInfo", {}).get("bootID", ""),
    )
