"""Why a server does not work: the causes, what to do about each, and how they are told apart.

Pure.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from flamingo_common.service.exit_status import ExitStatus

Cause: TypeAlias = Literal[
    "NodeLost",
    "GPUFault",
    "OutOfMemory",
    "GPUOutOfMemory",
    "DiskFull",
    "Evicted",
    "NotAdmitted",
    "ImagePullError",
    "ConfigMissing",
    "VolumeNotMounted",
    "StartError",
    "BadSettings",
    "PortBusy",
    "NotInstalled",
    "ModelNotFound",
    "TokenRefused",
    "ModelHostUnreachable",
    "CannotLoad",
    "CrashLoop",
    "ProbeFailing",
    "StuckTerminating",
    "WaitingForGPU",
    "Unschedulable",
]
"""Reasons of failures and conditions: never renamed, since alerts match them."""

ORDER: Final[tuple[str, ...]] = get_args(Cause)
"""Which comes first in a list: what harms those that work, then what time alone does not mend."""

HINTS: Final[Mapping[Cause, str]] = MappingProxyType(
    {
        "NodeLost": "look at the node; the server is replaced elsewhere once the node is gone",
        "GPUFault": "drain the node and reset or replace its GPU: kubectl cordon NODE",
        "OutOfMemory": "raise spec.server.resources.limits.memory",
        "GPUOutOfMemory": "ask for a larger GPU: spec.gpu.minMemoryGiB; or lower"
        " --kv-cache-tokens and --encoder-cache-gib in spec.server.args",
        "DiskFull": "give the cache more room: spec.cache, or the node's disk",
        "Evicted": "set spec.server.resources.requests, or spec.priorityClassName",
        "NotAdmitted": "look at the node's kubelet and its device plugin",
        "ImagePullError": "check spec.server.image and spec.server.imagePullSecrets",
        "ConfigMissing": "create what is missing, or correct its name in the spec",
        "VolumeNotMounted": "look at the claim and its storage class, or at the node's folder",
        "StartError": "check spec.server.image: its program cannot be started",
        "BadSettings": "correct spec.server.args or spec.server.env; the log names the setting",
        "PortBusy": "remove what else listens there: hostNetwork, or a sidecar",
        "NotInstalled": "use an image that has the pod's packages: spec.server.image",
        "ModelNotFound": "check spec.model.id and spec.model.revision",
        "TokenRefused": "accept the model's licence and check spec.model.tokenSecretRef",
        "ModelHostUnreachable": "let the servers reach it, or fill spec.cache beforehand",
        "CannotLoad": "read the log: kubectl flamingo logs",
        "CrashLoop": "read the log: kubectl flamingo logs",
        "ProbeFailing": "read the log; is spec.server.startupDeadlineSeconds long enough?",
        "StuckTerminating": "look at its finalizers and its node's kubelet",
        "WaitingForGPU": "free or add a GPU, or lower the number of servers",
        "Unschedulable": "compare spec.gpu and spec.server.resources with the nodes",
    }
)

CAUSE_BY_EXIT: Final[Mapping[ExitStatus, Cause]] = MappingProxyType(
    {
        ExitStatus.INTERNAL_ERROR: "CrashLoop",
        ExitStatus.INVALID_CONFIGURATION: "BadSettings",
        ExitStatus.PORT_IN_USE: "PortBusy",
        ExitStatus.MODEL_LOAD_FAILED: "CannotLoad",
        ExitStatus.MISSING_DEPENDENCY: "NotInstalled",
        ExitStatus.MODEL_ACCESS_DENIED: "TokenRefused",
        ExitStatus.HUB_UNREACHABLE: "ModelHostUnreachable",
        ExitStatus.ENGINE_STALLED: "CrashLoop",
        ExitStatus.DEVICE_OUT_OF_MEMORY: "GPUOutOfMemory",
        ExitStatus.DEVICE_ERROR: "GPUFault",
        ExitStatus.ENGINE_FAILED: "CrashLoop",
        ExitStatus.INCOMPLETE_SHUTDOWN: "CrashLoop",
    }
)
"""What the pod means by its exit status; what it says of it is `ExitStatus`'s own sentence."""

AMBIGUOUS_EXITS: Final = frozenset({ExitStatus.INTERNAL_ERROR, ExitStatus.MODEL_LOAD_FAILED})
"""Statuses of many causes, of which the last words may tell more."""

SIGNAL_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {132: "illegal instruction", 134: "aborted", 137: "killed", 139: "segmentation fault"}
)
"""What a shell's convention makes of a signal."""

Patterns: TypeAlias = Sequence[tuple[re.Pattern[str], str]]

LOG_TAIL_PATTERNS: Final[Sequence[tuple[re.Pattern[str], Cause, str]]] = (
    (
        re.compile(r"(?i)CUDA (error: )?out of memory"),
        "GPUOutOfMemory",
        "its GPU's memory does not suffice",
    ),
    (
        re.compile(r"(?i)\bxid\b|uncorrectable ECC|device-side|CUDA error|GPU is lost|NVML"),
        "GPUFault",
        "its GPU failed",
    ),
    (
        re.compile(r"(?i)No space left on device|disk quota"),
        "DiskFull",
        "its disk is full",
    ),
    (
        re.compile(r"(?i)\b40[13]\b|gated|unauthori[sz]ed|forbidden|invalid token|licen[cs]e"),
        "TokenRefused",
        "the model's host refuses the token, or the licence is not accepted",
    ),
    (
        re.compile(r"(?i)\b404\b|no such model|repository not found|revision not found"),
        "ModelNotFound",
        "there is no such model or revision",
    ),
    (re.compile(r"(?i)out of memory"), "OutOfMemory", "its memory does not suffice"),
)
"""What the end of the pod's log or its termination message gives away, most telling first."""

IMAGE_WAITS: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
CONFIG_WAITS: Final = frozenset({"CreateContainerConfigError"})
START_WAITS: Final = frozenset({"CreateContainerError", "RunContainerError"})

PULL_ERRORS: Final[Patterns] = (
    (
        re.compile(r"(?i)InvalidImageName|invalid reference|couldn't parse"),
        "is no valid name",
    ),
    (
        re.compile(r"(?i)\b40[13]\b|unauthori[sz]ed|denied|forbidden|no basic auth"),
        "needs credentials, or does not exist",
    ),
    (
        re.compile(r"(?i)not found|manifest unknown|name unknown|\b404\b"),
        "does not exist in its registry",
    ),
    (re.compile(r"(?i)no space left"), "does not fit on the node's disk"),
    (
        re.compile(r"(?i)x509|certificate"),
        "comes from a registry whose certificate is unknown",
    ),
    (re.compile(r"(?i)429|toomanyrequests|rate limit"), "is refused: too many pulls"),
    (
        re.compile(r"(?i)dial tcp|no such host|timeout|timed out|unreachable|refused|EOF"),
        "cannot be fetched: its registry does not answer",
    ),
)
"""What is wrong with an image, by the runtime's words."""


def first_match(patterns: Patterns, text: str, default: str) -> str:
    """Return what the first pattern that is found in `text` means."""
    return next((meaning for pattern, meaning in patterns if pattern.search(text)), default)
