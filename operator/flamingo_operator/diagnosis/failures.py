"""Diagnose pods that do not work: the cause, what was observed, and what to do.

A message contains nothing that changes between two reconciliations, such as a time,
an address or a count, because the status is written whenever it changes.

Pure.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flamingo_common.service.comma_list import split_commas
from flamingo_operator.api import names, timestamps
from flamingo_operator.api.gpu import Gpu
from flamingo_operator.api.names import Component
from flamingo_operator.api.server import Server
from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.diagnosis import causes, crashes
from flamingo_operator.diagnosis.causes import Cause

Json: TypeAlias = Mapping[str, Any]

MAX_MESSAGE_CHARS = 256
OVERDUE_S = 60.0
"""Kubelets need some seconds more than the grace period, which deletionTimestamp includes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one pod does not work, or why several could not be created."""

    reason: Cause
    message: str
    hint: str
    since: str | None = None
    """A timestamp, as the API server wrote it."""
    component: Component = "server"
    num_pods: int = 1


@dataclass(frozen=True, slots=True)
class FailureCount:
    """One cause, and how many pods of a component it affects."""

    reason: Cause
    count: int
    sample_pod: str
    """Empty if the pods could not be created."""
    message: str
    hint: str
    since: str | None
    component: Component = "server"


@dataclass(frozen=True, slots=True)
class DiagnosisInputs:
    """A pod, and everything else that its diagnosis is based on."""

    pod: Json
    now_s: float
    """Unix time."""
    node: Json | None = None
    events: Sequence[Json] = ()
    """The pod's events of type Warning."""
    gpu: Gpu = field(default_factory=Gpu)
    startup_deadline_s: float = Server().startup_deadline_seconds
    component: Component = "server"

    @property
    def status(self) -> Json:
        """The pod's status."""
        found: Json = self.pod.get("status") or {}
        return found

    def condition(self, kind: str) -> Json:
        """Return one of the pod's conditions, or an empty object."""
        return _condition(self.pod, kind)

    @property
    def is_ready(self) -> bool:
        """Whether the pod receives requests."""
        return self.condition("Ready").get("status") == "True"

    @property
    def warnings(self) -> str:
        """The messages of the pod's events, in one text."""
        return "\n".join(str(event.get("message") or "") for event in self.events)

    def containers(self) -> list[Json]:
        """Return the status of each container, init containers first."""
        kinds = ("initContainerStatuses", "containerStatuses")
        return [status for kind in kinds for status in self.status.get(kind) or ()]


def diagnose(inputs: DiagnosisInputs) -> Failure | None:
    """Return why the pod does not work; None if it works, starts or terminates normally."""
    for check in _CHECKS:
        found = check(inputs)
        if found is not None:
            return found
    return None


def diagnose_observed(spec: Spec, observed: Observed, pod: Pod, now_s: float) -> Failure | None:
    """Return why an observed server pod does not work; None if it works, starts or terminates."""
    if not pod.diagnosis_json:
        return None
    node = observed.nodes.get(pod.node)
    return diagnose(
        DiagnosisInputs(
            pod=json.loads(pod.diagnosis_json),
            now_s=now_s,
            node=node.as_object if node else None,
            events=observed.warnings.get(pod.ref.uid, ()),
            gpu=spec.gpu,
            startup_deadline_s=spec.server.startup_deadline_seconds,
        )
    )


def count_by_cause(failures: Iterable[tuple[str, Failure]]) -> list[FailureCount]:
    """Return one entry for each cause and component, in the order of causes.

    `failures` has the pods' names.
    """
    groups: dict[tuple[int, Component], list[tuple[str, Failure]]] = {}
    for name, found in sorted(failures, key=lambda pair: pair[0]):
        place = causes.ORDER.index(found.reason), found.component
        groups.setdefault(place, []).append((name, found))
    return [_counted(pairs) for _, pairs in sorted(groups.items(), key=_place)]


def _place(group: tuple[tuple[int, Component], Any]) -> tuple[int, int]:
    (cause, component), _ = group
    return cause, names.COMPONENTS.index(component)


def _counted(pairs: Sequence[tuple[str, Failure]]) -> FailureCount:
    name, first = pairs[0]
    return FailureCount(
        reason=first.reason,
        count=sum(found.num_pods for _, found in pairs),
        sample_pod=name,
        message=first.message,
        hint=first.hint,
        since=min((found.since for _, found in pairs if found.since), default=None),
        component=first.component,
    )


def _found(inputs: DiagnosisInputs, reason: Cause, message: str, hint: str = "") -> Failure:
    since = (
        inputs.condition("PodScheduled").get("lastTransitionTime")
        if reason in {"Unschedulable", "WaitingForGPU", "SchedulingGated"}
        else inputs.condition("Ready").get("lastTransitionTime")
    )
    created = inputs.pod.get("metadata", {}).get("creationTimestamp")
    component = inputs.component
    return Failure(
        reason,
        shortened(message),
        hint or causes.hint(reason, component),
        since or created,
        component,
    )


def shortened(message: str) -> str:
    """Return a message on one line, cut to what a status keeps of it."""
    return " ".join(message.split())[:MAX_MESSAGE_CHARS]


def _check_node(inputs: DiagnosisInputs) -> Failure | None:
    node = inputs.node
    if node is None or _condition(node, "Ready").get("status", "True") == "True":
        return None
    return _found(inputs, "NodeLost", f"node {node['metadata']['name']} is not ready")


def _check_termination(inputs: DiagnosisInputs) -> Failure | None:
    deadline = inputs.pod.get("metadata", {}).get("deletionTimestamp")
    if deadline is None or inputs.now_s - timestamps.parse(deadline) < OVERDUE_S:
        return None
    finalizers = inputs.pod["metadata"].get("finalizers")
    if finalizers:
        why = f"blocked by finalizers: {', '.join(finalizers)}"
    else:
        why = "its kubelet did not terminate it"
    return _found(inputs, "StuckTerminating", f"still exists after its grace period; {why}")


def _check_eviction(inputs: DiagnosisInputs) -> Failure | None:
    """Diagnose a pod that its node evicted or rejected."""
    if inputs.status.get("phase") != "Failed":
        return None
    reason, message = inputs.status.get("reason"), str(inputs.status.get("message") or "")
    if reason == "Evicted":
        is_disk = re.search(r"ephemeral|DiskPressure|storage|inodes|emptyDir", message)
        return _found(inputs, "DiskFull" if is_disk else "Evicted", message.strip().rstrip("."))
    if reason in {"UnexpectedAdmissionError", "NodeAffinity"} or str(reason).startswith("OutOf"):
        return _found(inputs, "NotAdmitted", message or f"rejected by its node: {reason}")
    return None


def _check_scheduling(inputs: DiagnosisInputs) -> Failure | None:
    scheduled = inputs.condition("PodScheduled")
    if scheduled.get("status") != "False":
        return None
    if scheduled.get("reason") == "SchedulingGated":
        gates = ", ".join(one["name"] for one in inputs.pod["spec"].get("schedulingGates", ()))
        return _found(inputs, "SchedulingGated", f"scheduling gates: {gates}")
    message = (
        str(scheduled.get("message") or "not scheduled").partition(" preemption:")[0].rstrip(". ")
    )
    if re.search("(?i)persistentvolumeclaim", message):
        hint = causes.hint("VolumeNotMounted", inputs.component)
        return _found(inputs, "Unschedulable", message, hint)
    if inputs.gpu.unavailable_message not in message:
        hint = f"{causes.hint('Unschedulable', inputs.component)}{_avoided_hint(inputs)}"
        return _found(inputs, "Unschedulable", message, hint)
    products = " or ".join(inputs.gpu.products) or inputs.gpu.shown_name
    hint = f"no free {products}: {causes.hint('WaitingForGPU')}{_avoided_hint(inputs)}"
    return _found(inputs, "WaitingForGPU", message, hint)


def _avoided_hint(inputs: DiagnosisInputs) -> str:
    """Return the part of the hint about avoided nodes."""
    annotations = inputs.pod.get("metadata", {}).get("annotations") or {}
    avoided = ", ".join(split_commas(annotations.get(names.AVOIDED_NODES, "")))
    return f"; nodes avoided because a GPU there failed: {avoided}" if avoided else ""


def _check_waiting(inputs: DiagnosisInputs) -> Failure | None:
    """Diagnose a container that cannot start."""
    for container in inputs.containers():
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = str(waiting.get("reason")), str(waiting.get("message") or "")
        if reason in causes.IMAGE_WAITS:
            text = f"{reason} {message} {inputs.warnings}"
            problem = causes.first_match(causes.PULL_ERRORS, text, "cannot be pulled")
            message = f"{_image(inputs, container)} {problem}"
            return _found(inputs, "ImagePullError", message, crashes.image_hint(container))
        if reason in causes.CONFIG_WAITS:
            return _found(inputs, "ConfigMissing", message)
        if reason in causes.START_WAITS and not crashes.termination(container):
            return _found(inputs, "StartError", message)
    return None


def _image(inputs: DiagnosisInputs, container: Json) -> str:
    spec = inputs.pod.get("spec", {})
    for kind in ("initContainers", "containers"):
        for one in spec.get(kind) or ():
            if one["name"] == container.get("name"):
                return str(one.get("image"))
    return str(container.get("image"))


def _check_mounts(inputs: DiagnosisInputs) -> Failure | None:
    if not any(
        (container.get("state", {}).get("waiting") or {}).get("reason")
        in {"ContainerCreating", "PodInitializing"}
        for container in inputs.containers()
    ):
        return None
    for event in inputs.events:
        if event.get("reason") in {"FailedMount", "FailedAttachVolume"}:
            message = str(event.get("message") or "")
            is_config = re.search(r"(configmap|secret) .*not found", message)
            reason: Cause = "ConfigMissing" if is_config else "VolumeNotMounted"
            return _found(inputs, reason, message.partition(" : ")[2] or message)
        if event.get("reason") == "FailedCreatePodSandBox":
            message = str(event.get("message") or "")
            return _found(inputs, "SandboxFailed", _without_ids(message))
    return None


def _without_ids(message: str) -> str:
    """Return a message of the container runtime without ids, which differ between tries."""
    return re.sub(r'"?[0-9a-f]{32,}"?', "…", message)


def _check_crash(inputs: DiagnosisInputs) -> Failure | None:
    """Diagnose a container that terminated, even if it runs again but is not ready yet."""
    is_working = inputs.is_ready and inputs.component != "preload"
    if is_working or inputs.pod.get("metadata", {}).get("deletionTimestamp"):
        return None
    for container in inputs.containers():
        terminated = crashes.termination(container)
        if terminated and (terminated.get("exitCode") or inputs.status.get("phase") == "Failed"):
            reason, message, hint = crashes.explain_crash(container, inputs.warnings)
            return _found(inputs, reason, message, hint)
    return None


def _check_sidecar(inputs: DiagnosisInputs) -> Failure | None:
    """Diagnose a preload pod that does not end, because another container keeps running."""
    if inputs.component != "preload":
        return None
    containers = inputs.status.get("containerStatuses") or ()
    running = [one["name"] for one in containers if "running" in (one.get("state") or {})]
    is_done = any(
        one["name"] == "preload"
        and ((one.get("state") or {}).get("terminated") or {}).get("exitCode") == 0
        for one in containers
    )
    if not (is_done and running):
        return None
    message = f"the model is downloaded, but container {running[0]} keeps running"
    return _found(inputs, "SidecarRunning", message)


def _check_readiness(inputs: DiagnosisInputs) -> Failure | None:
    """Diagnose a pod that runs and is not ready: loading a model takes time, within limits."""
    if inputs.is_ready or inputs.status.get("phase") != "Running":
        return None
    if inputs.pod.get("metadata", {}).get("deletionTimestamp"):
        return None
    started = [
        timestamps.parse(running["startedAt"])
        for container in inputs.containers()
        if (running := container.get("state", {}).get("running")) and running.get("startedAt")
    ]
    if not started or inputs.now_s - max(started) <= inputs.startup_deadline_s:
        return None
    limit = f"{inputs.startup_deadline_s:.0f} s"
    return _found(
        inputs, "ProbeFailing", f"has been running for more than {limit} without being ready"
    )


_CHECKS: Sequence[Callable[[DiagnosisInputs], Failure | None]] = (
    _check_node,
    _check_termination,
    _check_eviction,
    _check_scheduling,
    _check_waiting,
    _check_mounts,
    _check_crash,
    _check_sidecar,
    _check_readiness,
)
"""The first check that finds a failure determines the cause."""


def _condition(body: Json, kind: str) -> Json:
    found: Iterable[Json] = (body.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})
