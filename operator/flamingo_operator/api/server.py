"""The `server` block: the server pods, each of which runs one model server.

Pure.
"""

from typing import Annotated, Any

from pydantic import Field

from flamingo_operator.api import fields, pod_rules, quantity
from flamingo_operator.api.pod import PodBlock
from flamingo_operator.api.pod_overlay import Contract, PodTemplateField
from flamingo_operator.api.rules import Rule

OPERATOR_FLAGS = (
    "--port",
    "--host",
    "--fd",
    "--stop-with-parent",
    "--model",
    "--revision",
    "--served-model-name",
    "--dtype",
    "--max-audio-s",
    "--shutdown-delay-s",
    "--grace-period-s",
    "--key-file",
)
"""Flags that the operator passes to a server pod itself, or that do not work in a pod."""
CACHE_VARIABLES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE")
TOKEN_VARIABLES = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN")
GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")
MOUNTS = {"models": "/models", "shared-memory": "/dev/shm", "scratch": "/tmp", "keys": "/keys"}  # noqa: S108 - the pod's own
"""The operator's volumes, and where they are mounted."""
MIN_SHARED_MEMORY = "1Mi"
CONTRACT = Contract(
    block="server",
    mounts=MOUNTS,
    variables=(*CACHE_VARIABLES, *TOKEN_VARIABLES, *GPU_VARIABLES),
)


class Server(PodBlock):
    """Server configures the model server in each pod."""

    RULES = (
        pod_rules.reserved_flags("server", OPERATOR_FLAGS),
        pod_rules.reserved_prefix("server"),
        pod_rules.reserved_variables("server", CACHE_VARIABLES, "spec.cache"),
        pod_rules.reserved_variables("server", TOKEN_VARIABLES, "model.tokenSecretRef"),
        pod_rules.reserved_variables("server", GPU_VARIABLES, "spec.gpu"),
        *pod_rules.reserved_volumes("server", MOUNTS),
        *pod_rules.no_gpu(
            "server", "remove it; gpu.count and gpu.resourceName request the GPU of a server pod"
        ),
        Rule(
            cel=f"quantity(string(self.sharedMemory)).compareTo(quantity('{MIN_SHARED_MEMORY}'))"
            " >= 0",
            message=f"server.sharedMemory must be at least {MIN_SHARED_MEMORY}: it is in bytes, so"
            " add a suffix such as Gi",
            field_path=".sharedMemory",
            holds=lambda self: (
                quantity.parse(self.shared_memory) >= quantity.parse(MIN_SHARED_MEMORY)
            ),
        ),
    )

    shared_memory: fields.Quantity = "2Gi"
    """sharedMemory is the size of /dev/shm."""
    startup_deadline_seconds: Annotated[int, Field(ge=30, le=21_600)] = 1800
    """startupDeadlineSeconds is the time in which a server pod must become ready: it downloads and
    loads the model and processes a warm-up clip."""
    runtime_class_name: fields.Name | None = None
    """runtimeClassName is the RuntimeClass of the server pods. It is needed, usually as nvidia,
    where NVIDIA's container runtime is not the default of the nodes."""
    pod_template: Annotated[dict[str, Any] | None, PodTemplateField(contract=CONTRACT)] = None
    """podTemplate is merged into the server pods after all other fields, by the merge keys of a
    strategic merge patch. Its container server is the model server; others are sidecars. What the
    operator relies on cannot be changed here."""
