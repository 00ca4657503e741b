"""Why a server pod does not work: the causes, their hints, and patterns that identify them.

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
    "InvalidConfiguration",
    "PortInUse",
    "MissingDependency",
    "ModelNotFound",
    "ModelAccessDenied",
    "HubUnreachable",
    "ModelLoadFailed",
    "CrashLoop",
    "ProbeFailing",
    "StuckTerminating",
    "WaitingForGPU",
    "Unschedulable",
]
"""Reasons of failures and conditions. They are named like the exit statuses that they follow from,
and never renamed in a release, because alerts match them."""

ORDER: Final[tuple[str, ...]] = get_args(Cause)
"""The order of causes in a list: first those that affect working pods, last those that may resolve
by themselves."""

HINTS: Final[Mapping[Cause, str]] = MappingProxyType(
    {
        "NodeLost": "check the node; the server pod is recreated elsewhere once the node is gone",
        "GPUFault": "cordon the node (kubectl cordon NODE) and reset or replace its GPU",
        "OutOfMemory": "raise spec.server.resources.limits.memory",
        "GPUOutOfMemory": "request a larger GPU with spec.gpu.minMemoryGiB, or lower"
        " --kv-cache-tokens and --encoder-cache-gib in spec.server.args",
        "DiskFull": "use a larger volume for spec.cache, or free space on the node's disk",
        "Evicted": "set spec.server.resources.requests or spec.priorityClassName",
        "NotAdmitted": "check the kubelet and the device plugin of the node",
        "ImagePullError": "check spec.server.image and spec.server.imagePullSecrets",
        "ConfigMissing": "create the missing object, or correct its name in the spec",
        "VolumeNotMounted": "check the PersistentVolumeClaim and its StorageClass,"
        " or the node's directory",
        "StartError": "check spec.server.image: its command cannot be started",
        "InvalidConfiguration": "correct spec.server.args or spec.server.env;"
        " the log names the setting",
        "PortInUse": "remove what else listens on the port, such as a sidecar",
        "MissingDependency": "set spec.server.image to an image that contains the pod's packages",
        "ModelNotFound": "check spec.model.id and spec.model.revision",
        "ModelAccessDenied": "accept the license of the model and check spec.model.tokenSecretRef",
        "HubUnreachable": "allow access to the Hugging Face Hub, or fill spec.cache beforehand",
        "ModelLoadFailed": "check the logs: kubectl flamingo logs",
        "CrashLoop": "check the logs: kubectl flamingo logs",
        "ProbeFailing": "check the logs; if loading takes that long, raise"
        " spec.server.startupDeadlineSeconds",
        "StuckTerminating": "check the pod's finalizers and the kubelet of its node",
        "WaitingForGPU": "add or free a GPU, or lower the number of server pods",
        "Unschedulable": "compare spec.gpu and spec.server.resources with the nodes",
    }
)

CAUSE_BY_EXIT: Final[Mapping[ExitStatus, Cause]] = MappingProxyType(
    {
        ExitStatus.INTERNAL_ERROR: "CrashLoop",
        ExitStatus.INVALID_CONFIGURATION: "InvalidConfiguration",
        ExitStatus.PORT_IN_USE: "PortInUse",
        ExitStatus.MODEL_LOAD_FAILED: "ModelLoadFailed",
        ExitStatus.MISSING_DEPENDENCY: "MissingDependency",
        ExitStatus.MODEL_ACCESS_DENIED: "ModelAccessDenied",
        ExitStatus.HUB_UNREACHABLE: "HubUnreachable",
        ExitStatus.ENGINE_STALLED: "CrashLoop",
        ExitStatus.DEVICE_OUT_OF_MEMORY: "GPUOutOfMemory",
        ExitStatus.DEVICE_ERROR: "GPUFault",
        ExitStatus.ENGINE_FAILED: "CrashLoop",
        ExitStatus.INCOMPLETE_SHUTDOWN: "CrashLoop",
    }
)
"""The cause behind each exit status of our own programs; `ExitStatus.meaning` is the message."""

AMBIGUOUS_EXITS: Final = frozenset({ExitStatus.INTERNAL_ERROR, ExitStatus.MODEL_LOAD_FAILED})
"""Statuses with several causes, which the end of the log may distinguish."""

SIGNAL_NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {132: "illegal instruction", 134: "aborted", 137: "killed", 139: "segmentation fault"}
)
"""Names of the signals behind exit statuses of 128 and more."""

Patterns: TypeAlias = Sequence[tuple[re.Pattern[str], str]]

LOG_TAIL_PATTERNS: Final[Sequence[tuple[re.Pattern[str], Cause, str]]] = (
    (
        re.compile(r"(?i)CUDA (error: )?out of memory"),
        "GPUOutOfMemory",
        "the GPU is out of memory",
    ),
    (
        re.compile(r"(?i)\bxid\b|uncorrectable ECC|device-side|CUDA error|GPU is lost|NVML"),
        "GPUFault",
        "the GPU failed",
    ),
    (
        re.compile(r"(?i)No space left on device|not enough disk space|disk quota"),
        "DiskFull",
        "the disk is full",
    ),
    (
        re.compile(r"(?i)\b40[13]\b|gated|unauthori[sz]ed|forbidden|invalid token|licen[cs]e"),
        "ModelAccessDenied",
        "the hub denies access: the token is invalid, or the license was not accepted",
    ),
    (
        re.compile(
            r"(?i)\b404\b|no such model|model \S+ does not exist|has no branch, tag or commit"
            r"|repository not found|revision not found"
        ),
        "ModelNotFound",
        "the model or revision does not exist",
    ),
    (re.compile(r"(?i)out of memory"), "OutOfMemory", "out of memory"),
)
"""Patterns in the end of the log or the termination message, the most specific first."""

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
        "is not a valid image name",
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
        "cannot be pulled: the registry's certificate is not trusted",
    ),
    (
        re.compile(r"(?i)429|toomanyrequests|rate limit"),
        "cannot be pulled: the registry's rate limit is reached",
    ),
    (
        re.compile(r"(?i)dial tcp|no such host|timeout|timed out|unreachable|refused|EOF"),
        "cannot be pulled: the registry does not respond",
    ),
)
"""Patterns in the container runtime's message, and what is wrong with the image."""


def first_match(patterns: Patterns, text: str, default: str) -> str:
    """Return the meaning of the first pattern that matches in `text`, or `default`."""
    return next((meaning for pattern, meaning in patterns if pattern.search(text)), default)
