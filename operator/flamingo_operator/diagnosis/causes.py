"""Why a pod does not come or does not work: the causes, their hints, and identifying patterns.

Pure.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from flamingo_common.service.exit_status import ExitStatus
from flamingo_operator.api.names import Component

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
    "UnsupportedGPU",
    "ModelNotFound",
    "ModelAccessDenied",
    "HubUnreachable",
    "ModelLoadFailed",
    "CrashLoop",
    "ProbeFailing",
    "SandboxFailed",
    "SidecarRunning",
    "StuckTerminating",
    "WebhookUnavailable",
    "AdmissionDenied",
    "InvalidPod",
    "ResourcesRequired",
    "LimitRangeViolated",
    "NamespaceTerminating",
    "CreationFailed",
    "QuotaExceeded",
    "SchedulingGated",
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
        "GPUOutOfMemory": "request a larger GPU with spec.gpu.minMemory, or lower"
        " --kv-cache-tokens and --encoder-cache-gib in spec.server.args",
        "DiskFull": "use a larger volume for spec.cache, or free space on the node's disk",
        "Evicted": "set spec.server.resources.requests or spec.server.priorityClassName",
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
        "UnsupportedGPU": "select other GPUs with spec.gpu.products, or correct --device and"
        " --dtype in spec.server.args; the message states what is needed",
        "ModelNotFound": "check spec.model.id and spec.model.revision",
        "ModelAccessDenied": "accept the license of the model and check spec.model.tokenSecretRef",
        "HubUnreachable": "allow access to the Hugging Face Hub, or fill spec.cache beforehand",
        "ModelLoadFailed": "check the logs: kubectl flamingo logs",
        "CrashLoop": "check the logs: kubectl flamingo logs",
        "ProbeFailing": "check the logs; if loading takes that long, raise"
        " spec.server.startupDeadlineSeconds",
        "SandboxFailed": "check the network plugin and the container runtime of the node",
        "SidecarRunning": "exclude the Job's pod from the injection of sidecars with"
        " spec.server.podMetadata, for example with the annotation sidecar.istio.io/inject:"
        ' "false", or let the mesh use native sidecars',
        "StuckTerminating": "check the pod's finalizers and the kubelet of its node",
        "WebhookUnavailable": "check the webhook that the message names, or its configuration",
        "AdmissionDenied": "change the spec, or the policy that the message names",
        "InvalidPod": "correct the field of the spec that the message refers to",
        "ResourcesRequired": "set what the message names in spec.server.resources",
        "LimitRangeViolated": "change spec.server.resources, or the LimitRange of the namespace",
        "NamespaceTerminating": "create the FlamingoDeployment in another namespace",
        "CreationFailed": "see the message of the API server",
        "QuotaExceeded": "raise the ResourceQuota that the message names, or lower the number of"
        " server pods or spec.server.resources",
        "SchedulingGated": "check the controller that sets the gate, for example Kueue: its queue"
        " may be full",
        "WaitingForGPU": "add or free a GPU, or lower the number of server pods",
        "Unschedulable": "compare spec.gpu and spec.server.resources with the nodes",
    }
)

_PRELOAD_LOGS = "check the logs of the preload Job's pod"
_COMPONENT_HINTS: Final[Mapping[tuple[Component, Cause], str]] = MappingProxyType(
    {
        ("router", "OutOfMemory"): "raise spec.router.resources.limits.memory",
        ("router", "DiskFull"): "free space on the node's disk",
        ("router", "Evicted"): "set spec.router.resources.requests or"
        " spec.router.priorityClassName",
        ("router", "ImagePullError"): "check spec.router.image and the imagePullSecrets",
        ("router", "StartError"): "check spec.router.image: its command cannot be started",
        ("router", "InvalidConfiguration"): "correct the settings of spec.router; the log names"
        " the setting",
        ("router", "MissingDependency"): "set spec.router.image to an image that contains the"
        " router's packages",
        ("router", "CrashLoop"): "check the logs: kubectl logs",
        ("router", "ProbeFailing"): "check the logs: kubectl logs",
        ("router", "ResourcesRequired"): "set what the message names in spec.router.resources",
        ("router", "LimitRangeViolated"): "change spec.router.resources, or the LimitRange of the"
        " namespace",
        ("router", "QuotaExceeded"): "raise the ResourceQuota that the message names, or lower"
        " spec.router.replicas or spec.router.resources",
        ("router", "Unschedulable"): "compare spec.router with the nodes: resources, node"
        " selector, tolerations",
        ("router", "NodeLost"): "check the node; the router pod is recreated elsewhere",
        ("batches", "OutOfMemory"): "raise spec.batches.resources.limits.memory, or lower"
        " spec.batches.limits.maxConcurrency",
        ("batches", "DiskFull"): "raise spec.batches.storage.size, or delete files through the API",
        ("batches", "Evicted"): "set spec.batches.resources.requests or"
        " spec.batches.priorityClassName",
        ("batches", "ImagePullError"): "check spec.batches.image and the imagePullSecrets",
        ("batches", "ConfigMissing"): "create the Secret or its entry that the message names, or"
        " correct it in spec.batches or spec.auth",
        ("batches", "VolumeNotMounted"): "check the PersistentVolumeClaim and its StorageClass",
        ("batches", "StartError"): "check spec.batches.image: its command cannot be started",
        ("batches", "InvalidConfiguration"): "correct spec.batches.args, or the URL in the Secret"
        " of spec.batches.database; the log names the setting",
        ("batches", "MissingDependency"): "set spec.batches.image to an image that contains the"
        " packages of the service",
        ("batches", "CrashLoop"): "check the logs: kubectl logs",
        ("batches", "ProbeFailing"): "check the logs, and whether the database and the bucket of"
        " spec.batches can be reached",
        ("batches", "ResourcesRequired"): "set what the message names in spec.batches.resources",
        ("batches", "LimitRangeViolated"): "change spec.batches.resources, or the LimitRange of the"
        " namespace",
        ("batches", "QuotaExceeded"): "raise the ResourceQuota that the message names, or lower"
        " spec.batches.replicas or spec.batches.resources",
        ("batches", "Unschedulable"): "compare spec.batches with the nodes: resources, node"
        " selector, tolerations; its claim must be bound, in a zone that has such a node",
        (
            "batches",
            "NodeLost",
        ): "check the node; the pod is recreated elsewhere, with a volume only"
        " once the node is gone",
        ("preload", "OutOfMemory"): "raise limits.memory of spec.cache.preloadResources",
        ("preload", "Evicted"): "raise the requests of spec.cache.preloadResources",
        ("preload", "ModelLoadFailed"): _PRELOAD_LOGS,
        ("preload", "CrashLoop"): _PRELOAD_LOGS,
        ("preload", "DiskFull"): "use a larger volume for spec.cache",
        ("preload", "HubUnreachable"): "allow access to the Hugging Face Hub, or set a proxy or a"
        " mirror in spec.server.env",
        ("preload", "InvalidConfiguration"): "correct spec.server.env; the log names the setting",
        ("preload", "ResourcesRequired"): "set what the message names in"
        " spec.cache.preloadResources",
        ("preload", "LimitRangeViolated"): "change spec.cache.preloadResources, or the LimitRange"
        " of the namespace",
        ("preload", "QuotaExceeded"): "raise the ResourceQuota that the message names, or lower"
        " spec.cache.preloadResources",
        ("preload", "Unschedulable"): "compare spec.gpu, spec.server and"
        " spec.cache.preloadResources with the nodes",
        ("preload", "NodeLost"): "check the node; the Job creates another pod",
    }
)


def hint(cause: Cause, component: Component = "server") -> str:
    """Return what to do about a cause in a pod of a component."""
    return _COMPONENT_HINTS.get((component, cause), HINTS[cause])


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
        ExitStatus.UNSUPPORTED_DEVICE: "UnsupportedGPU",
        ExitStatus.ITEMS_FAILED: "CrashLoop",
        ExitStatus.BATCH_INCOMPLETE: "CrashLoop",
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
        re.compile(r"(?i)no such host|server misbehaving"),
        "cannot be pulled: the name of its registry cannot be resolved",
    ),
    (
        re.compile(r"(?i)dial tcp|timeout|timed out|unreachable|refused|EOF"),
        "cannot be pulled: the registry does not respond",
    ),
)
"""Patterns in the container runtime's message, and what is wrong with the image."""


def first_match(patterns: Patterns, text: str, default: str) -> str:
    """Return the meaning of the first pattern that matches in `text`, or `default`."""
    return next((meaning for pattern, meaning in patterns if pattern.search(text)), default)
