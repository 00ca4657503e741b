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
from flamingo_common.service.exit_status import ExitStatus
from flamingo_operator.api import names, timestamps
from flamingo_operator.api.server import Gpu, Server
from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.diagnosis import causes
from flamingo_operator.diagnosis.causes import HINTS, Cause

Json: TypeAlias = Mapping[str, Any]

MAX_MESSAGE_CHARS = 256
OVERDUE_S = 60.0
"""Kubelets need some seconds more than the grace period, which deletionTimestamp includes."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one pod does not work."""

    reason: Cause
    message: str
    hint: str
    since: str | None = None
    """A timestamp, as the API server wrote it."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """One cause, and how many pods it affects."""

    reason: Cause
    count: int
    sample_pod: str
    message: str
    hint: str
    since: str | None


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
            gpu=spec.gpu,
            startup_deadline_s=spec.server.startup_deadline_seconds,
        )
    )


def count_by_cause(failures: Iterable[tuple[str, Failure]]) -> list[FailureCount]:
    """Return one entry for each cause, in the order of causes; `failures` has the pods' names."""
    by_reason: dict[Cause, list[tuple[str, Failure]]] = {}
    for name, found in sorted(failures, key=lambda pair: pair[0]):
        by_reason.setdefault(found.reason, []).append((name, found))
    return [
        FailureCount(
            reason=reason,
            count=len(pairs),
            sample_pod=pairs[0][0],
            message=pairs[0][1].message,
            hint=pairs[0][1].hint,
            since=min((found.since for _, found in pairs if found.since), default=None),
        )
        for reason, pairs in sorted(by_reason.items(), key=lambda item: causes.ORDER.index(item[0]))
    ]


def _found(inputs: DiagnosisInputs, reason: Cause, message: str, hint: str = "") -> Failure:
    since = (
        inputs.condition("PodScheduled").get("lastTransitionTime")
        if reason in {"Unschedulable", "WaitingForGPU"}
        else inputs.condition("Ready").get("lastTransitionTime")
    )
    created = inputs.pod.get("metadata", {}).get("creationTimestamp")
    short = " ".join(message.split())[:MAX_MESSAGE_CHARS]
    return Failure(reason, short, hint or HINTS[reason], since or created)


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
    message = (
        str(scheduled.get("message") or "not scheduled").partition(" preemption:")[0].rstrip(". ")
    )
    if f"Insufficient {inputs.gpu.resource_name}" not in message:
        hint = f"{HINTS['Unschedulable']}{_avoided_hint(inputs)}"
        return _found(inputs, "Unschedulable", message, hint)
    products = " or ".join(inputs.gpu.products) or inputs.gpu.resource_name
    hint = f"no free {products}: {HINTS['WaitingForGPU']}{_avoided_hint(inputs)}"
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
            return _found(inputs, "ImagePullError", f"{_image(inputs, container)} {problem}")
        if reason in causes.CONFIG_WAITS:
            return _found(inputs, "ConfigMissing", message)
        if reason in causes.START_WAITS and not _terminated(container):
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
    return None


def _terminated(container: Json) -> Json:
    """Return the container's last termination, or an empty object."""
    for state in ("state", "lastState"):
        terminated: Json | None = (container.get(state) or {}).get("terminated")
        if terminated is not None:
            return terminated
    return {}


def _check_crash(inputs: DiagnosisInputs) -> Failure | None:
    """Diagnose a container that terminated, even if it runs again but is not ready yet."""
    if inputs.is_ready or inputs.pod.get("metadata", {}).get("deletionTimestamp"):
        return None
    for container in inputs.containers():
        terminated = _terminated(container)
        if terminated and (terminated.get("exitCode") or inputs.status.get("phase") == "Failed"):
            return _crash(inputs, terminated)
    return None


def _crash(inputs: DiagnosisInputs, terminated: Json) -> Failure:
    code, log_tail = int(terminated.get("exitCode", 0)), str(terminated.get("message") or "")
    if terminated.get("reason") == "OOMKilled":
        return _found(inputs, "OutOfMemory", "killed: the container exceeded its memory limit")
    if terminated.get("reason") in {"StartError", "ContainerCannotRun"}:
        return _found(inputs, "StartError", log_tail.rpartition("process: ")[2] or log_tail)
    status = _exit_status(code)
    if status is None or status in causes.AMBIGUOUS_EXITS:
        for pattern, reason, why in causes.LOG_TAIL_PATTERNS:
            if pattern.search(log_tail):
                return _found(inputs, reason, f"{why}: {_last_line(log_tail)}")
    if status is not None:
        message = f"exit status {code}: {status.meaning.rstrip('.')}"
        return _found(inputs, causes.CAUSE_BY_EXIT[status], _with_last_line(message, log_tail))
    probe = re.search(r"(Liveness|Startup) probe failed", inputs.warnings)
    if code in {137, 143} and probe:
        return _found(inputs, "ProbeFailing", f"killed: the {probe[1].lower()} probe failed")
    signal = f" ({causes.SIGNAL_NAMES[code]})" if code in causes.SIGNAL_NAMES else ""
    return _found(inputs, "CrashLoop", _with_last_line(f"exit status {code}{signal}", log_tail))


def _exit_status(code: int) -> ExitStatus | None:
    """Return the exit status of our own programs; None for any other code."""
    return next((one for one in causes.CAUSE_BY_EXIT if one == code), None)


def _with_last_line(message: str, log_tail: str) -> str:
    return f"{message}; {_last_line(log_tail)}" if log_tail.strip() else message


def _last_line(log_tail: str) -> str:
    """Return the last line, without addresses and times, which differ between crashes."""
    lines = log_tail.strip().splitlines()
    return re.sub(r"0x[0-9a-f]+|\d{4}-\d\d-\d\dT[\d:.]+Z?", "…", lines[-1]) if lines else ""


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
    _check_readiness,
)
"""The first check that finds a failure determines the cause."""


def _condition(body: Json, kind: str) -> Json:
    found: Iterable[Json] = (body.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})
