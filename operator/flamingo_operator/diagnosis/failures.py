"""A pod that does not work → why, and what to do; many of them → one line a cause.

A text says nothing that differs from one look to the next, such as a time, an
address or how often: a status is written only when it changes.

Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flamingo_common.service.exit_status import ExitStatus
from flamingo_operator.api import names, timestamps
from flamingo_operator.api.server import Gpu
from flamingo_operator.diagnosis import causes
from flamingo_operator.diagnosis.causes import HINTS, Cause

Json: TypeAlias = Mapping[str, Any]

MAX_MESSAGE_CHARS = 256
OVERDUE_S = 60.0
"""A kubelet needs some seconds beyond the grace period, which the deletion's time contains."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one pod does not work."""

    reason: Cause
    message: str
    hint: str
    since: str | None = None
    """The moment as the API server wrote it."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """One cause, and how many pods have it."""

    reason: Cause
    count: int
    sample_pod: str
    message: str
    hint: str
    since: str | None


@dataclass(frozen=True, slots=True)
class DiagnosisInputs:
    """A pod, and what else is known of it."""

    pod: Json
    now_s: float
    """Unix time."""
    node: Json | None = None
    events: Sequence[Json] = ()
    """The pod's warnings."""
    gpu: Gpu = field(default_factory=Gpu)
    startup_deadline_s: float = 1800.0

    @property
    def status(self) -> Json:
        """The pod's status."""
        found: Json = self.pod.get("status") or {}
        return found

    def condition(self, kind: str) -> Json:
        """Return one of the pod's conditions; empty when it has none such."""
        return _condition(self.pod, kind)

    @property
    def is_ready(self) -> bool:
        """Whether the pod gets requests."""
        return self.condition("Ready").get("status") == "True"

    @property
    def warnings(self) -> str:
        """What the pod's events say, in one text."""
        return "\n".join(str(event.get("message") or "") for event in self.events)

    def containers(self) -> list[Json]:
        """Return what the kubelet says of each container, those that come first first."""
        kinds = ("initContainerStatuses", "containerStatuses")
        return [status for kind in kinds for status in self.status.get(kind) or ()]


def diagnose(sight: DiagnosisInputs) -> Failure | None:
    """Return why the pod does not work; None when it works, starts or leaves as it should."""
    for cause in _CAUSES:
        found = cause(sight)
        if found is not None:
            return found
    return None


def count_by_cause(failures: Iterable[tuple[str, Failure]]) -> list[FailureCount]:
    """Return one line for each cause, in the causes' order; the pods are given by name."""
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
        for reason, pairs in sorted(by_reason.items(), key=lambda item: _place(item[0]))
    ]


def _place(reason: Cause) -> int:
    return causes.ORDER.index(reason)


def _found(sight: DiagnosisInputs, reason: Cause, message: str, hint: str = "") -> Failure:
    since = (
        sight.condition("PodScheduled").get("lastTransitionTime")
        if reason in {"Unschedulable", "WaitingForGPU"}
        else sight.condition("Ready").get("lastTransitionTime")
    )
    made = sight.pod.get("metadata", {}).get("creationTimestamp")
    short = " ".join(message.split())[:MAX_MESSAGE_CHARS]
    return Failure(reason, short, hint or HINTS[reason], since or made)


def _lost(sight: DiagnosisInputs) -> Failure | None:
    node = sight.node
    if node is None or _condition(node, "Ready").get("status", "True") == "True":
        return None
    return _found(sight, "NodeLost", f"node {node['metadata']['name']} is not ready")


def _leaving(sight: DiagnosisInputs) -> Failure | None:
    leave_by = sight.pod.get("metadata", {}).get("deletionTimestamp")
    if leave_by is None or sight.now_s - timestamps.parse(leave_by) < OVERDUE_S:
        return None
    held = sight.pod["metadata"].get("finalizers")
    why = f"finalizers hold it: {', '.join(held)}" if held else "its node does not end it"
    return _found(sight, "StuckTerminating", f"should be gone and is not; {why}")


def _refused(sight: DiagnosisInputs) -> Failure | None:
    """Judge a pod that its node threw out or did not take."""
    if sight.status.get("phase") != "Failed":
        return None
    reason, message = sight.status.get("reason"), str(sight.status.get("message") or "")
    if reason == "Evicted":
        is_disk = re.search(r"ephemeral|DiskPressure|storage|inodes|emptyDir", message)
        return _found(sight, "DiskFull" if is_disk else "Evicted", message.strip().rstrip("."))
    if reason in {"UnexpectedAdmissionError", "NodeAffinity"} or str(reason).startswith("OutOf"):
        return _found(sight, "NotAdmitted", message or f"its node refused it: {reason}")
    return None


def _unplaced(sight: DiagnosisInputs) -> Failure | None:
    placed = sight.condition("PodScheduled")
    if placed.get("status") != "False":
        return None
    message = str(placed.get("message") or "not placed").partition(" preemption:")[0].rstrip(". ")
    if f"Insufficient {sight.gpu.resource_name}" not in message:
        hint = f"{HINTS['Unschedulable']}{_avoided(sight)}"
        return _found(sight, "Unschedulable", message, hint)
    products = " or ".join(sight.gpu.products) or sight.gpu.resource_name
    hint = f"no free {products}: {HINTS['WaitingForGPU']}{_avoided(sight)}"
    return _found(sight, "WaitingForGPU", message, hint)


def _avoided(sight: DiagnosisInputs) -> str:
    """Return what is said of the nodes that the pod is kept from."""
    annotations = sight.pod.get("metadata", {}).get("annotations") or {}
    avoided = ", ".join(names.split_csv(annotations.get(names.AVOIDED_NODES, "")))
    return f"; avoided, because a GPU there failed: {avoided}" if avoided else ""


def _waiting(sight: DiagnosisInputs) -> Failure | None:
    """Judge a container that cannot start."""
    for container in sight.containers():
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = str(waiting.get("reason")), str(waiting.get("message") or "")
        if reason in causes.IMAGE_WAITS:
            told = f"{reason} {message} {sight.warnings}"
            wrong = causes.first_match(causes.PULL_ERRORS, told, "cannot be pulled")
            return _found(sight, "ImagePullError", f"{_image(sight, container)} {wrong}")
        if reason in causes.CONFIG_WAITS:
            return _found(sight, "ConfigMissing", message)
        if reason in causes.START_WAITS and not _ended(container):
            return _found(sight, "StartError", message)
    return None


def _image(sight: DiagnosisInputs, container: Json) -> str:
    wanted = sight.pod.get("spec", {})
    for kind in ("initContainers", "containers"):
        for one in wanted.get(kind) or ():
            if one["name"] == container.get("name"):
                return str(one.get("image"))
    return str(container.get("image"))


def _mounting(sight: DiagnosisInputs) -> Failure | None:
    if not any(
        (container.get("state", {}).get("waiting") or {}).get("reason")
        in {"ContainerCreating", "PodInitializing"}
        for container in sight.containers()
    ):
        return None
    for event in sight.events:
        if event.get("reason") in {"FailedMount", "FailedAttachVolume"}:
            message = str(event.get("message") or "")
            is_config = re.search(r"(configmap|secret) .*not found", message)
            reason: Cause = "ConfigMissing" if is_config else "VolumeNotMounted"
            return _found(sight, reason, message.partition(" : ")[2] or message)
    return None


def _ended(container: Json) -> Json:
    """Return how the container ended the last time; empty when it never did."""
    for state in ("state", "lastState"):
        ended: Json | None = (container.get(state) or {}).get("terminated")
        if ended is not None:
            return ended
    return {}


def _crashed(sight: DiagnosisInputs) -> Failure | None:
    """Judge a container that ended, also while it runs again but is not ready yet."""
    if sight.is_ready or sight.pod.get("metadata", {}).get("deletionTimestamp"):
        return None
    for container in sight.containers():
        ended = _ended(container)
        if ended and (ended.get("exitCode") or sight.status.get("phase") == "Failed"):
            return _crash(sight, ended)
    return None


def _crash(sight: DiagnosisInputs, ended: Json) -> Failure:
    code, words = int(ended.get("exitCode", 0)), str(ended.get("message") or "")
    if ended.get("reason") == "OOMKilled":
        return _found(sight, "OutOfMemory", "killed: it used more memory than its limit")
    if ended.get("reason") in {"StartError", "ContainerCannotRun"}:
        return _found(sight, "StartError", words.rpartition("process: ")[2] or words)
    told = _told_by_status(code)
    if told is None or told in causes.AMBIGUOUS_EXITS:
        for pattern, reason, why in causes.LOG_TAIL_PATTERNS:
            if pattern.search(words):
                return _found(sight, reason, f"{why}: {_last_line(words)}")
    if told is not None:
        says = f"exit status {code}: {told.meaning.rstrip('.')}"
        return _found(sight, causes.CAUSE_BY_EXIT[told], _with(says, words))
    probe = re.search(r"(Liveness|Startup) probe failed", sight.warnings)
    if code in {137, 143} and probe:
        return _found(sight, "ProbeFailing", f"killed: its {probe[1].lower()} probe failed")
    by = f" ({causes.SIGNAL_NAMES[code]})" if code in causes.SIGNAL_NAMES else ""
    return _found(sight, "CrashLoop", _with(f"exit status {code}{by}", words))


def _told_by_status(code: int) -> ExitStatus | None:
    """Return what our own programs mean by a status; None where they mean nothing by it."""
    return next((one for one in causes.CAUSE_BY_EXIT if one == code), None)


def _with(message: str, words: str) -> str:
    return f"{message}; {_last_line(words)}" if words.strip() else message


def _last_line(words: str) -> str:
    """Return the last line, without what changes from one crash to the next."""
    lines = words.strip().splitlines()
    return re.sub(r"0x[0-9a-f]+|\d{4}-\d\d-\d\dT[\d:.]+Z?", "…", lines[-1]) if lines else ""


def _unready(sight: DiagnosisInputs) -> Failure | None:
    """Judge a pod that runs and is not ready: a model takes its time, but not for ever."""
    if sight.is_ready or sight.status.get("phase") != "Running":
        return None
    if sight.pod.get("metadata", {}).get("deletionTimestamp"):
        return None
    started = [
        timestamps.parse(running["startedAt"])
        for container in sight.containers()
        if (running := container.get("state", {}).get("running")) and running.get("startedAt")
    ]
    if not started or sight.now_s - max(started) <= sight.startup_deadline_s:
        return None
    limit = f"{sight.startup_deadline_s:.0f} s"
    return _found(sight, "ProbeFailing", f"runs, and has not been ready for more than {limit}")


_CAUSES: Sequence[Callable[[DiagnosisInputs], Failure | None]] = (
    _lost,
    _leaving,
    _refused,
    _unplaced,
    _waiting,
    _mounting,
    _crashed,
    _unready,
)
"""The first that finds something has found the cause."""


def _condition(body: Json, kind: str) -> Json:
    found: Iterable[Json] = (body.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})
