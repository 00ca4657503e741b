"""The observed state of a FlamingoDeployment's objects, reduced to what decisions need.

Objects are parsed when they arrive and then dropped: a pod with its managedFields
takes 20 kB, what decisions need of it a few hundred bytes, and there may be ten
thousand pods.

Pure.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service.comma_list import split_commas
from flamingo_operator.api import names, timestamps
from flamingo_operator.cluster import cold_start, projection
from flamingo_operator.cluster.cold_start import ColdStartPhases

Object = Mapping[str, Any]

ROUTER_KIND = "Router"
"""The kind of router pods in the store, to distinguish them from server pods."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Identifies an object: its name, and the uid and version to delete exactly this one."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: int
    deployment: str
    owner_uid: str = ""
    """The uid of its controller, usually a FlamingoDeployment; empty if it has none."""

    @property
    def key(self) -> str:
        """The key of its FlamingoDeployment in queues and caches."""
        return names.deployment_key(self.namespace, self.deployment)


@dataclass(frozen=True, slots=True)
class Pod:
    """A server pod."""

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
    """Its phase is Failed or Succeeded, so it never serves again."""
    is_serving: bool = True
    """Whether its serving label includes it in its Service."""
    is_drain_requested: bool = False
    """Whether a user requested, by annotation, that it is drained and replaced."""
    drain_started_s: float | None = None
    drain_until_s: float | None = None
    num_restarts: int = 0
    is_in_backoff: bool = False
    """Whether a container is in CrashLoopBackOff."""
    avoided_nodes: tuple[str, ...] = ()
    """Nodes that it must not be placed on."""
    start: ColdStartPhases | None = None
    """How long it took to become ready; None if it is not ready or was restarted."""
    diagnosis_json: str = ""
    """What the diagnosis needs of a pod that is not ready; as JSON text it takes a sixth of the
    memory."""

    @property
    def is_draining(self) -> bool:
        """Whether the operator removed it from its Service and has not deleted it yet."""
        return self.drain_started_s is not None and not self.is_terminating

    @property
    def is_active(self) -> bool:
        """Whether it serves, or will: it is not draining, terminating or finished."""
        return not (self.is_terminating or self.is_finished or self.drain_started_s is not None)


@dataclass(frozen=True, slots=True)
class ObservedRouter:
    """A router pod."""

    ref: ObjectRef
    ip: str
    is_ready: bool


@dataclass(frozen=True, slots=True)
class Revision:
    """A pod template, as its ControllerRevision keeps it."""

    ref: ObjectRef
    hash: str
    number: int
    template: str
    """JSON text, which takes less memory and is seldom read."""
    progressed_s: float | None = None
    """The last progress of its rollout: it became the target revision, or an old server pod started
    to drain, in which case it is the drain's latest end."""
    completed_s: float | None = None
    failed_s: float | None = None


@dataclass(frozen=True, slots=True)
class OwnedObject:
    """Any other object that the operator created."""

    ref: ObjectRef
    digest: str
    """Digest of the fields that we own in it."""
    applied: str = ""
    """Digest of the manifest that was last applied, if this process applied it."""
    num_ready: int = 0
    is_complete: bool = False
    is_failed: bool = False
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node."""

    name: str
    is_cordoned: bool = False
    is_ready: bool = True
    product: str = ""
    """The product of its GPUs, by label."""
    resources: tuple[str, ...] = ()
    """The names of its extended resources."""
    boot_id: str = ""
    """Changes with each boot."""

    @property
    def as_object(self) -> Object:
        """What the diagnosis reads of a node, in the form of the API."""
        ready = {"type": "Ready", "status": "True" if self.is_ready else "False"}
        return {"metadata": {"name": self.name}, "status": {"conditions": [ready]}}


@dataclass(frozen=True, slots=True)
class AvoidedNode:
    """A node that no more server pods of a FlamingoDeployment are placed on."""

    node: str
    reason: str
    message: str
    since_s: float
    boot_id: str = ""
    """The node's boot ID at that time; empty if the operator has no access to nodes."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load that a server pod reports."""

    backlog_s: float
    num_in_flight: int


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed objects of one FlamingoDeployment."""

    pods: tuple[Pod, ...] = ()
    routers: tuple[ObservedRouter, ...] = ()
    revisions: tuple[Revision, ...] = ()
    owned: Mapping[tuple[str, str], OwnedObject] = field(default_factory=dict)
    """By kind and name."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)
    """By pod name; a pod that did not respond is missing."""
    avoided: tuple[AvoidedNode, ...] = ()
    """As listed in the status."""
    has_pod_monitors: bool = False
    conflicts: frozenset[str] = frozenset()
    """Names of pods that must not be created, because a pod of that name exists that is not ours:
    it has another controller, or a user removed our labels."""


def parse_ref(raw: Object, kind: str) -> ObjectRef:
    """Return the reference of an object."""
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
    """Return the uid of an object's controller; empty if it has none."""
    owners = raw["metadata"].get("ownerReferences", ())
    return next((str(one["uid"]) for one in owners if one.get("controller")), "")


def parse_pod(raw: Object) -> Pod:
    """Return a server pod."""
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
        is_in_backoff=any(_waiting_reason(one) == "CrashLoopBackOff" for one in containers),
        avoided_nodes=split_commas(annotations.get(names.AVOIDED_NODES, "")),
        start=cold_start.pod_phases(raw),
        diagnosis_json="" if ready.get("status") == "True" else _diagnosis_json(raw),
    )


def _waiting_reason(container: Object) -> str:
    waiting = container.get("state", {}).get("waiting") or {}
    return str(waiting.get("reason", ""))


def _diagnosis_json(raw: Object) -> str:
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
    return _to_json({"metadata": metadata, "spec": {"containers": containers}, "status": status})


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def parse_router(raw: Object) -> ObservedRouter:
    """Return a router pod; one that is terminating is not ready."""
    status = raw.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    is_terminating = "deletionTimestamp" in raw["metadata"]
    return ObservedRouter(
        ref=parse_ref(raw, ROUTER_KIND),
        ip=status.get("podIP", ""),
        is_ready=conditions.get("Ready") == "True" and not is_terminating,
    )


def parse_revision(raw: Object) -> Revision:
    """Return a revision."""
    annotations = raw["metadata"].get("annotations", {})
    return Revision(
        ref=parse_ref(raw, "ControllerRevision"),
        hash=raw["metadata"].get("labels", {}).get(names.REVISION_LABEL, ""),
        number=raw["revision"],
        template=_to_json(raw["data"]),
        progressed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_MOVED)),
        completed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_COMPLETE)),
        failed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_FAILED)),
    )


def parse_owned_object(raw: Object, kind: str) -> OwnedObject:
    """Return any other object that the operator created."""
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
