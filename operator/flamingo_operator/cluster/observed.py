"""The observed state of a FlamingoDeployment's objects, reduced to what decisions need.

Objects are parsed when they arrive and then dropped: a pod with its managedFields
takes 20 kB, what decisions need of it a few hundred bytes, and there may be ten
thousand pods.

Pure.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from flamingo_common.service.comma_list import split_commas
from flamingo_operator.api import names, timestamps
from flamingo_operator.api.names import Component
from flamingo_operator.cluster import cold_start, compact_json, pod_usage, projection, readiness
from flamingo_operator.cluster.aliases import Neighbor
from flamingo_operator.cluster.cold_start import ColdStartPhases
from flamingo_operator.cluster.exposure import NOT_EXPOSED, Exposure, parse_exposure
from flamingo_operator.cluster.nodes import AvoidedNode, Node
from flamingo_operator.cluster.pod_rejection import PodRejection
from flamingo_operator.cluster.pod_usage import Usage

Object = Mapping[str, Any]

ROUTER_KIND = "Router"
PRELOAD_KIND = "PreloadPod"
BATCHES_KIND = "BatchesPod"
"""The kinds of other pods in the store, to distinguish them from server pods."""
COMPONENTS: Final[Mapping[str, Component]] = MappingProxyType(
    {ROUTER_KIND: "router", PRELOAD_KIND: "preload", BATCHES_KIND: "batches"}
)
"""What they are pods of."""
ADMISSION_REASONS = ("OutOf", "UnexpectedAdmissionError", "TopologyAffinityError")
"""Beginnings of the reasons with which a kubelet rejects a pod that it has no room for."""


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
    has_lost_readiness: bool = False
    """Whether it was ready, or its container was restarted, and it is not ready now."""
    scheduled_s: float | None = None
    is_unschedulable: bool = False
    is_gated: bool = False
    """Whether a scheduling gate, such as Kueue's, keeps it from being scheduled."""
    scheduling_message: str = ""
    """Why it is not scheduled."""
    admission_error: str = ""
    """Why its kubelet rejected it, if that had no room for it."""
    usage: Usage = field(default_factory=dict)
    """What it counts against quotas."""
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
class ControlledPod:
    """A pod that a Deployment or Job of ours created: of routers, batches or the preload Job."""

    ref: ObjectRef
    ip: str
    is_ready: bool
    created_s: float = 0.0
    node: str = ""
    diagnosis_json: str = ""
    """What the diagnosis needs of a pod that may not work."""
    image: str = ""
    """The image of our container; empty if the pod is terminating."""
    is_finished: bool = False

    @property
    def component(self) -> Component:
        """What it is a pod of."""
        return COMPONENTS[self.ref.kind]


@dataclass(frozen=True, slots=True)
class Revision:
    """A pod template, as its ControllerRevision keeps it."""

    ref: ObjectRef
    hash: str
    number: int
    template: str
    """JSON text, which takes less memory and is seldom read."""
    inputs: str = ""
    """What the template was rendered from, as JSON text."""
    image: str = ""
    """The image of the template's server container."""
    default_image: str = ""
    """The operator's default image when the template was rendered."""
    progressed_s: float | None = None
    """The last progress of its rollout: it became the target revision, or an old server pod started
    to drain, in which case it is the drain's latest end."""
    completed_s: float | None = None
    failed_s: float | None = None
    failed_by: str = ""
    """Why its rollout failed."""
    blocked_s: float | None = None
    """Since when its rollout finds no room for an additional server pod."""
    blocked_by: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class OwnedObject:
    """Any other object that the operator created."""

    ref: ObjectRef
    digest: str
    """Digest of the fields that we own in it."""
    applied: str = ""
    """Digest of the manifest that was last applied, if this process applied it."""
    num_ready: int = 0
    num_missing: int = 0
    """The pods that a Deployment has not created."""
    template_digest: str = ""
    """Digest of the pod template that a Job was created from."""
    pod_error: str = ""
    """Why a Deployment could not create pods."""
    pod_error_since: str | None = None
    """A timestamp, as the API server wrote it."""
    owned_replicas: int | None = None
    """Its `spec.replicas`, if we own that field."""
    is_complete: bool = False
    is_failed: bool = False
    is_rolled_out: bool = True
    """Of a Deployment: all of its replicas are of its current template, and available."""
    exposure: Exposure = NOT_EXPOSED
    has_been_available: bool = False
    """Of a Deployment: the rollout of its current template was complete at some time."""
    has_missed_deadline: bool = False
    """Of a Deployment: its rollout made no progress within its deadline."""
    is_terminating: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """The load that a server pod reports."""

    backlog_s: float
    num_in_flight: int


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed objects of one FlamingoDeployment."""

    pods: tuple[Pod, ...] = ()
    routers: tuple[ControlledPod, ...] = ()
    preload_pods: tuple[ControlledPod, ...] = ()
    batches_pods: tuple[ControlledPod, ...] = ()
    revisions: tuple[Revision, ...] = ()
    owned: Mapping[tuple[str, str], OwnedObject] = field(default_factory=dict)
    """By kind and name."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)
    """By pod name; a pod that did not respond is missing."""
    avoided: tuple[AvoidedNode, ...] = ()
    """As listed in the status."""
    pod_rejection: PodRejection | None = None
    """Why no more server pods could be created, the last time that was tried."""
    warnings: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    """Warning events, by the uid of the object that they are about, as far as they were read."""
    was_paused: bool = False
    """Whether the last status was written while spec.paused was true."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Kinds whose objects are unknown, with the reason: the API server does not serve the kind, or
    refuses to list it. Such objects are neither applied nor deleted."""
    conflicts: frozenset[str] = frozenset()
    """Names of pods that must not be created, because a pod of that name exists that is not ours:
    it has another controller, or a user removed our labels."""
    neighbors: tuple[Neighbor, ...] = ()
    """The other FlamingoDeployments of the namespace, if this one claims or holds an alias."""
    foreign_alias: OwnedObject | None = None
    """The Service with the name of its alias, if another FlamingoDeployment holds it."""


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
        has_lost_readiness=readiness.is_lost(ready, containers),
        scheduled_s=timestamps.parse_optional(scheduled.get("lastTransitionTime"))
        if is_scheduled
        else None,
        is_unschedulable=scheduled.get("reason") == "Unschedulable" and not is_scheduled,
        is_gated=scheduled.get("reason") == "SchedulingGated" and not is_scheduled,
        scheduling_message="" if is_scheduled else str(scheduled.get("message") or ""),
        admission_error=_admission_error(status),
        usage=pod_usage.of_pod(raw["spec"]),
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
        diagnosis_json="" if ready.get("status") == "True" else compact_json.diagnosis(raw),
    )


def _admission_error(status: Object) -> str:
    reason = str(status.get("reason") or "")
    if status.get("phase") != "Failed" or not reason.startswith(ADMISSION_REASONS):
        return ""
    return str(status.get("message") or reason)


def _waiting_reason(container: Object) -> str:
    waiting = container.get("state", {}).get("waiting") or {}
    return str(waiting.get("reason", ""))


def parse_controlled_pod(raw: Object, kind: str) -> ControlledPod:
    """Return a pod of a Deployment or Job of ours; one that is terminating is not ready."""
    status = raw.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    is_terminating = "deletionTimestamp" in raw["metadata"]
    is_ready = conditions.get("Ready") == "True" and not is_terminating
    # A preload pod is ready while it runs, also when it runs again after a failure.
    is_healthy = is_ready and kind != PRELOAD_KIND
    return ControlledPod(
        ref=parse_ref(raw, kind),
        ip=status.get("podIP", ""),
        is_ready=is_ready,
        created_s=timestamps.parse(raw["metadata"]["creationTimestamp"]),
        node=sys.intern(raw["spec"].get("nodeName", "")),
        diagnosis_json="" if is_healthy else compact_json.diagnosis(raw),
        is_finished=status.get("phase") in ("Failed", "Succeeded"),
        image="" if is_terminating else _container_image(raw, COMPONENTS[kind]),
    )


def _container_image(pod: Object, name: str) -> str:
    """Return the image of a pod's or a template's container; empty if there is none of the name."""
    containers = pod.get("spec", {}).get("containers", ())
    found = (one.get("image", "") for one in containers if one.get("name") == name)
    return sys.intern(next(found, ""))


def parse_revision(raw: Object) -> Revision:
    """Return a revision."""
    annotations, data = raw["metadata"].get("annotations", {}), raw.get("data") or {}
    return Revision(
        ref=parse_ref(raw, "ControllerRevision"),
        hash=raw["metadata"].get("labels", {}).get(names.REVISION_LABEL, ""),
        number=raw["revision"],
        template=compact_json.dumps(data.get("template") or {}),
        inputs=compact_json.dumps(data.get("inputs") or {}),
        image=_container_image(data.get("template") or {}, "server"),
        default_image=sys.intern((data.get("inputs") or {}).get("serverImage", "")),
        progressed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_MOVED)),
        completed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_COMPLETE)),
        failed_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_FAILED)),
        failed_by=annotations.get(names.ROLLOUT_FAILED_BY, ""),
        blocked_s=timestamps.parse_optional(annotations.get(names.ROLLOUT_BLOCKED)),
        blocked_by=annotations.get(names.ROLLOUT_BLOCKED_BY, ""),
    )


def parse_owned_object(raw: Object, kind: str) -> OwnedObject:
    """Return any other object that the operator created."""
    status, metadata = raw.get("status") or {}, raw["metadata"]
    conditions = {one["type"]: one for one in status.get("conditions", ()) if _is_true(one)}
    reasons = {one["type"]: one.get("reason", "") for one in status.get("conditions", ())}
    failure = conditions.get("ReplicaFailure", {})
    is_observed = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    return OwnedObject(
        ref=parse_ref(raw, kind),
        digest=projection.digest_of_live(raw),
        num_ready=status.get("readyReplicas", 0),
        num_missing=max(0, raw.get("spec", {}).get("replicas", 0) - status.get("replicas", 0)),
        template_digest=metadata.get("annotations", {}).get(names.TEMPLATE_DIGEST, ""),
        pod_error=str(failure.get("message") or ""),
        pod_error_since=failure.get("lastTransitionTime"),
        owned_replicas=projection.owned_replicas(raw),
        is_complete="Complete" in conditions or status.get("phase") == "Bound",
        is_failed="Failed" in conditions or status.get("phase") == "Lost",
        is_rolled_out=kind != "Deployment" or (is_observed and readiness.is_rolled_out(raw)),
        has_been_available=is_observed and reasons.get("Progressing") == "NewReplicaSetAvailable",
        has_missed_deadline=is_observed
        and reasons.get("Progressing") == "ProgressDeadlineExceeded",
        is_terminating="deletionTimestamp" in metadata,
        exposure=parse_exposure(raw),
    )


def _is_true(condition: Object) -> bool:
    return bool(condition["status"] == "True")
