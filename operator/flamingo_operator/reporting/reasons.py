"""The types of conditions and their reasons, which are part of the API: `docs/conditions.md`.

A reason belongs to one status of its type. Failing pods add the causes of `diagnosis/causes.py` to
the reasons of Ready, Degraded, RouterReady, BatchesReady and ModelCached.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from flamingo_operator.cluster.rejections import RejectionReason
from flamingo_operator.diagnosis.causes import ORDER as CAUSES

ConditionStatus: TypeAlias = Literal["True", "False", "Unknown"]
ConditionType: TypeAlias = Literal[
    "Ready",
    "Reconciling",
    "Stalled",
    "Progressing",
    "Degraded",
    "Accepted",
    "RouterReady",
    "BatchesReady",
    "Exposed",
    "ModelCached",
    "ScalingActive",
    "ScalingLimited",
]
Severity: TypeAlias = Literal["ok", "waiting", "problem"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of a type of condition."""

    status: ConditionStatus
    meaning: str
    is_problem: bool = False
    """Whether it needs attention: its event has the type Warning."""


@dataclass(frozen=True, slots=True)
class ConditionKind:
    """A type of condition."""

    meaning: str
    normal: ConditionStatus
    """The status at rest, without problems."""
    reasons: Mapping[str, Reason]
    has_causes: bool = False
    """Whether the causes of failing pods are among its reasons."""
    cause: Reason = field(default=Reason("True", ""))
    """What each of these causes is to it."""


def _problem(status: ConditionStatus, meaning: str) -> Reason:
    return Reason(status, meaning, is_problem=True)


_REJECTIONS: Final[Mapping[RejectionReason, str]] = {
    "NameConflict": "an object of that name exists, and something else controls it",
    "Rejected": "the API server or an admission policy refuses an object; the message says why",
    "PermissionDenied": "the operator lacks a permission",
    "UnreadableFields": "the operator cannot read a part of the spec; the message says what it uses"
    " instead",
    "KindUnavailable": "a kind of object that is needed is not served, or cannot be listed",
    "QuotaExceeded": "a ResourceQuota is used up; retried",
    "WebhookUnavailable": "an admission webhook does not respond; retried",
    "NamespaceTerminating": "the namespace is being deleted",
}
_STALLED: Final[Mapping[str, str]] = {
    "InvalidSpec": "the operator cannot use the spec",
    "RolledBack": "the rollout failed, and the server pods run the last working revision again",
    "ProgressDeadlineExceeded": "the rollout made no progress for"
    " spec.rollout.progressDeadlineSeconds",
    "RouterProgressDeadlineExceeded": "the rollout of the router pods made no progress for the"
    " progressDeadlineSeconds of their Deployment",
    "BatchesProgressDeadlineExceeded": "the rollout of the pods of batches made no progress for the"
    " progressDeadlineSeconds of their Deployment",
    "PreloadFailed": "the preload Job has used up its retries",
    "NameConflict": _REJECTIONS["NameConflict"],
    "Rejected": _REJECTIONS["Rejected"],
    "PermissionDenied": _REJECTIONS["PermissionDenied"],
    "KindUnavailable": _REJECTIONS["KindUnavailable"],
    "UnreadableFields": _REJECTIONS["UnreadableFields"],
}
_RECONCILING: Final[Mapping[str, str]] = {
    "Preloading": "the preload Job is running",
    "RolloutInProgress": "server pods of the spec's revision are being created",
    "ScalingUp": "server pods are starting",
    "Recovering": "server pods that were ready are no longer ready",
    "Draining": "server pods are draining or terminating",
    "LeavingNodes": "server pods on cordoned nodes are being replaced on others",
    "RouterRolloutInProgress": "router pods are being replaced or are starting",
    "BatchesRolloutInProgress": "pods of batches are being replaced or are starting",
    "ApplyingSpec": "objects are being changed to match the spec",
    "AwaitingDeletion": "objects of a deleted FlamingoDeployment of the same name still exist",
    "QuotaExceeded": _REJECTIONS["QuotaExceeded"],
    "WebhookUnavailable": _REJECTIONS["WebhookUnavailable"],
    "NamespaceTerminating": _REJECTIONS["NamespaceTerminating"],
}
_COMPLETE = "all pods match the spec and are ready"
_PAUSED = "spec.paused or spec.rollout.paused is true, and keeps the spec from being reached"

CONDITIONS: Final[Mapping[ConditionType, ConditionKind]] = MappingProxyType(
    {
        "Ready": ConditionKind(
            "The fleet serves requests, or serves none because the spec says so.",
            "True",
            {
                "AllReady": Reason("True", "all desired server pods are ready"),
                "PartiallyReady": Reason("True", "at least one server pod is ready, but not all"),
                "ScaledToZero": Reason("True", "no server pods are desired"),
                "Suspended": Reason("True", "spec.suspend is true"),
                "Loading": Reason("False", "server pods are starting"),
                "RouterNotReady": Reason("False", "no router pod is ready"),
                "Preloading": Reason("False", "the preload Job is running"),
                "ReadinessLost": _problem("False", "server pods that were ready are not any more"),
                "PreloadFailed": _problem("False", _STALLED["PreloadFailed"]),
                **{reason: _problem("False", text) for reason, text in _REJECTIONS.items()},
                "InvalidSpec": _problem("Unknown", _STALLED["InvalidSpec"]),
                "Unobserved": _problem("Unknown", "the operator cannot list server pods"),
            },
            has_causes=True,
            cause=_problem("False", ""),
        ),
        "Reconciling": ConditionKind(
            "The operator, or Kubernetes for it, is working towards the spec.",
            "False",
            {
                **{reason: Reason("True", text) for reason, text in _RECONCILING.items()},
                "Complete": Reason("False", _COMPLETE),
                "Paused": Reason("False", _PAUSED),
                "Stalled": Reason("False", "the condition Stalled is True"),
            },
        ),
        "Stalled": ConditionKind(
            "The spec is not reached without a change, of the spec or of what the reason names.",
            "False",
            {
                **{reason: _problem("True", text) for reason, text in _STALLED.items()},
                "AsExpected": Reason("False", "the spec can be reached"),
            },
        ),
        "Progressing": ConditionKind(
            "As for a Deployment: a rollout or a change of the number of pods advances, or is"
            " complete.",
            "True",
            {
                "Complete": Reason("True", _COMPLETE),
                **{reason: Reason("True", text) for reason, text in _RECONCILING.items()},
                "Paused": Reason("False", _PAUSED),
                **{reason: _problem("False", text) for reason, text in _STALLED.items()},
            },
        ),
        "Degraded": ConditionKind(
            "Pods fail, or capacity is missing and not merely starting.",
            "False",
            {
                "AsExpected": Reason("False", "nothing is failing"),
                "ReadinessLost": _problem("True", "server pods that were ready are not any more"),
                "RouterNotReady": _problem("True", "no router pod is ready any more"),
                "ProgressDeadlineExceeded": _problem("True", _STALLED["ProgressDeadlineExceeded"]),
                "RouterProgressDeadlineExceeded": _problem(
                    "True", _STALLED["RouterProgressDeadlineExceeded"]
                ),
                "BatchesNotReady": _problem("True", "no pod of batches is ready any more"),
                "BatchesProgressDeadlineExceeded": _problem(
                    "True", _STALLED["BatchesProgressDeadlineExceeded"]
                ),
                "RolledBack": _problem("True", _STALLED["RolledBack"]),
                "PreloadFailed": _problem("True", _STALLED["PreloadFailed"]),
                **{reason: _problem("True", text) for reason, text in _REJECTIONS.items()},
            },
            has_causes=True,
            cause=_problem("True", ""),
        ),
        "Accepted": ConditionKind(
            "The operator can use the spec, and the API server accepts the objects for it.",
            "True",
            {
                "Accepted": Reason("True", "the spec can be used, and all objects were accepted"),
                "EvictionsBlocked": Reason(
                    "True", "all objects were accepted; a disruption budget lets no pod be evicted"
                ),
                "InvalidSpec": _problem("False", _STALLED["InvalidSpec"]),
                **{reason: _problem("False", text) for reason, text in _REJECTIONS.items()},
            },
        ),
        "RouterReady": ConditionKind(
            "At least one router pod is ready. Only with routers.",
            "True",
            {
                "Ready": Reason("True", "at least one router pod is ready"),
                "NotReady": Reason("False", "no router pod is ready"),
            },
            has_causes=True,
            cause=_problem("False", ""),
        ),
        "BatchesReady": ConditionKind(
            "At least one pod of batches is ready. Only with spec.batches.",
            "True",
            {
                "BatchesReady": Reason("True", "at least one pod of batches is ready"),
                "BatchesNotReady": Reason("False", "no pod of batches is ready"),
            },
            has_causes=True,
            cause=_problem("False", ""),
        ),
        "Exposed": ConditionKind(
            "The fleet is reachable under the addresses that the spec asks for: a load balancer,"
            " an Ingress, an HTTPRoute, an InferencePool, an alias. Only with one of these.",
            "True",
            {
                "Reachable": Reason("True", "it is reachable under all of them"),
                "KindUnavailable": _problem("False", _REJECTIONS["KindUnavailable"]),
                "AliasTaken": _problem("False", "another FlamingoDeployment has the alias"),
                "NotAccepted": _problem(
                    "False", "a Gateway does not serve the HTTPRoute or the InferencePool"
                ),
                "AliasPending": Reason(
                    "False", "the alias moves here as soon as requests to it are answered"
                ),
                "AddressPending": Reason(
                    "False", "a load balancer or an ingress controller reports no address"
                ),
                "RoutePending": Reason("False", "a Gateway has not looked at the HTTPRoute yet"),
            },
        ),
        "ModelCached": ConditionKind(
            "The model files are in the cache volume. Only if spec.cache.preload is true.",
            "True",
            {
                "Preloaded": Reason("True", "the preload Job is complete"),
                "Preloading": Reason("False", _RECONCILING["Preloading"]),
                "PreloadFailed": _problem("False", _STALLED["PreloadFailed"]),
            },
            has_causes=True,
            cause=_problem("False", ""),
        ),
        "ScalingActive": ConditionKind(
            "Something determines the number of server pods.",
            "True",
            {
                "External": Reason("True", "the number is set in spec.replicas"),
                "Internal": Reason("True", "the routers report the demand"),
                "Suspended": Reason("False", "spec.suspend is true"),
                "RouterNotReady": Reason("False", "no router pod is ready to report the demand"),
                "SignalLost": _problem("False", "the routers do not report the demand"),
            },
        ),
        "ScalingLimited": ConditionKind(
            "The maximum keeps the fleet from growing. Only in scaling mode Internal.",
            "False",
            {
                "DesiredWithinRange": Reason("False", "the desired number is within the limits"),
                "TooManyReplicas": _problem("True", "the demand needs more than the maximum"),
            },
        ),
    }
)


def find(kind: ConditionType, reason: str) -> Reason:
    """Return a reason of a type of condition.

    Raises:
        KeyError: the type does not have this reason.
    """
    known = CONDITIONS[kind]
    if known.has_causes and reason in CAUSES:
        return known.cause
    return known.reasons[reason]


def severity(condition: Mapping[str, Any]) -> Severity:
    """Return whether a condition of a status needs attention; unknown reasons may, too."""
    known = CONDITIONS.get(condition["type"])
    if known is None or condition["status"] == known.normal:
        return "ok"
    try:
        is_problem = find(condition["type"], condition.get("reason", "")).is_problem
    except KeyError:
        is_problem = True
    return "problem" if is_problem else "waiting"
