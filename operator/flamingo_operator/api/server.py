"""The `model`, `server`, `gpu` and `cache` blocks: what one server pod is.

A server pod always has exactly one GPU, so nothing here counts GPUs.

Pure.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields, names
from flamingo_operator.api.rules import Block, Rule

OPERATOR_FLAGS = (
    "--port",
    "--host",
    "--model",
    "--revision",
    "--served-model-name",
    "--dtype",
    "--max-audio-s",
    "--shutdown-delay-s",
    "--grace-period-s",
    "--key-file",
)
"""Flags that the operator passes to a server pod itself."""


class SecretKey(Block):
    """SecretKey selects an entry of a Secret in the namespace of the FlamingoDeployment."""

    name: fields.Name
    """name is the name of the Secret."""
    key: fields.Name = "token"
    """key is the entry of the Secret."""


class Model(Block):
    """Model selects the checkpoint that is served."""

    RULES = (
        Rule(
            cel="self.id == oldSelf.id",
            message="model.id is immutable, because measured capacity and cold starts belong to the"
            " model: create another FlamingoDeployment",
        ),
    )

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$",
        ),
    ]
    """id is the id of a model on the Hugging Face Hub, such as nvidia/music-flamingo-2601-hf, or
    flamingo-tiny, which is built in. It is immutable."""
    revision: Annotated[str, Field(min_length=1, max_length=64)] = "main"
    """revision is the branch, tag or commit of the model. Quote a commit, because YAML reads some
    of them as numbers."""
    served_name: fields.ShortText | None = None
    """servedName is the name of the model in the API. If unset, it is model.id."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """dtype is the data type of the weights. auto is bfloat16 on a GPU."""
    max_audio_seconds: Annotated[int, Field(ge=1, le=7200)] | None = None
    """maxAudioSeconds is the maximum duration of a clip. If unset, or higher than what the
    checkpoint supports, it is what the checkpoint supports."""
    token_secret_ref: SecretKey | None = None
    """tokenSecretRef selects the Hugging Face token, which is needed for a model that is not
    public."""


class EnvVar(Block):
    """EnvVar is an environment variable of the server container."""

    name: fields.ShortText
    """name is the name of the variable. FLAMINGO_* is reserved for the operator."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """value is the value of the variable."""
    value_from: fields.PodField | None = None
    """valueFrom is the source of the value, as in a pod."""


class SecretName(Block):
    """SecretName selects a Secret in the namespace of the FlamingoDeployment."""

    name: fields.Name
    """name is the name of the Secret."""


class Resources(Block):
    """Resources are the CPU and memory requests and limits of a container, as in a pod."""

    RULES = (
        Rule(
            cel="!has(self.limits) || !self.limits.exists(k, k.endsWith('/gpu')"
            " || k.contains('/mig-'))",
            message="resources.limits must not contain a GPU, because every server pod has exactly"
            " one: use spec.gpu",
            holds=lambda self: (
                not any(name.endswith("/gpu") or "/mig-" in name for name in self.limits)
            ),
        ),
    )

    requests: fields.Quantities = Field(default_factory=dict)
    """requests are the resources that the scheduler reserves."""
    limits: fields.Quantities = Field(default_factory=dict)
    """limits are the resources that the container must not exceed."""


def _not_reserved(field: str) -> Rule:
    ours = names.RESERVED_PREFIXES
    return Rule(
        cel=f"!has(self.{field}) || !self.{field}.exists(k, "
        + " || ".join(f"k.startsWith('{prefix}')" for prefix in ours)
        + ")",
        message=f"{field} must not contain {' or '.join(f'{prefix}*' for prefix in ours)}, which"
        " the operator sets: remove them",
        holds=lambda self: not any(key.startswith(ours) for key in getattr(self, field)),
    )


class PodMetadata(Block):
    """PodMetadata is added to the metadata of pods, for example for service meshes and queues."""

    RULES = (_not_reserved("labels"), _not_reserved("annotations"))

    labels: fields.Labels = Field(default_factory=dict)
    """labels are added to the labels of the pods."""
    annotations: fields.Labels = Field(default_factory=dict)
    """annotations are added to the annotations of the pods."""


class Server(Block):
    """Server configures the model server in each pod."""

    RULES = (
        Rule(
            cel="!has(self.args) || !self.args.exists(a, "
            + " || ".join(f"a.startsWith('{flag}')" for flag in OPERATOR_FLAGS)
            + ")",
            message=f"args must not contain {', '.join(OPERATOR_FLAGS)}, which the operator sets:"
            " remove them",
            holds=lambda self: not any(arg.startswith(OPERATOR_FLAGS) for arg in self.args),
        ),
        Rule(
            cel="!has(self.env) || !self.env.exists(e, e.name.startsWith('FLAMINGO_'))",
            message="env must not contain FLAMINGO_* variables, which the operator sets: use args"
            " instead",
            holds=lambda self: not any(var.name.startswith("FLAMINGO_") for var in self.env),
        ),
    )

    image: fields.Image | None = None
    """image is the container image of the server pods. If unset, the image of the operator's
    release is used."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """imagePullPolicy determines when the image is pulled."""
    image_pull_secrets: Annotated[list[SecretName], Field(max_length=8)] = Field(
        default_factory=list
    )
    """imagePullSecrets are Secrets with credentials for the image registry."""
    args: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=64)] = Field(
        default_factory=list
    )
    """args are additional flags of the model server, such as --max-concurrent-answers=64."""
    env: Annotated[
        list[EnvVar],
        Field(max_length=64, json_schema_extra=fields.LIST_MAP_BY_NAME),
        AfterValidator(fields.require_unique_names),
    ] = Field(default_factory=list)
    """env are environment variables of the server container."""
    resources: Resources = Resources()
    """resources are the CPU and memory requests and limits of the server container, without the
    GPU."""
    shared_memory: fields.Size = "2Gi"
    """sharedMemory is the size of /dev/shm."""
    pod_metadata: PodMetadata = PodMetadata()
    """podMetadata is added to the metadata of the server pods."""
    startup_deadline_seconds: Annotated[int, Field(ge=30, le=21_600)] = 1800
    """startupDeadlineSeconds is the time in which a server pod must become ready: it downloads and
    loads the model and processes a warm-up clip."""


class Toleration(Block):
    """Toleration is a toleration of a taint, as in a pod."""

    key: Annotated[str, Field(max_length=253)] | None = None
    """key is the key of the taint. If unset, all keys match."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """operator determines whether the value of the taint must match (Equal) or not (Exists)."""
    value: fields.Label | None = None
    """value is the value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """effect is the effect of the taint. If unset, all effects match."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """tolerationSeconds is how long a taint with the effect NoExecute is tolerated."""


class Gpu(Block):
    """Gpu selects the GPU of each server pod."""

    resource_name: Annotated[
        str, Field(max_length=100, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    ] = "nvidia.com/gpu"
    """resourceName is the extended resource of the device plugin. It may be a MIG slice such as
    nvidia.com/mig-3g.40gb."""
    products: Annotated[
        list[fields.Label],
        Field(max_length=16, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.require_unique),
    ] = Field(default_factory=list)
    """products are the allowed values of the node label nvidia.com/gpu.product, the preferred one
    first. If empty, any GPU is allowed."""
    min_memory_gib: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, alias="minMemoryGiB"
    )
    """minMemoryGiB is the minimum memory of the GPU, according to the node label
    nvidia.com/gpu.memory."""
    runtime_class_name: fields.Name | None = None
    """runtimeClassName is the RuntimeClass of the server pods. It is needed, usually as nvidia,
    where NVIDIA's container runtime is not the default of the nodes."""
    node_selector: fields.Labels = Field(default_factory=dict)
    """nodeSelector lists the labels that a node must have to run a server pod."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(
        default=[Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")]
    )
    """tolerations are the tolerations of the server pods."""


class HostPath(Block):
    """HostPath is a directory of the node."""

    path: Annotated[str, Field(max_length=1024, pattern="^/")]
    """path is the directory. It must exist, and user 10001 must be able to write to it."""


class VolumeClaim(Block):
    """VolumeClaim is a PersistentVolumeClaim for the files of the model."""

    RULES = (
        Rule(
            cel="has(self.claimName) != has(self.size)",
            message="exactly one of claimName, for an existing claim, and size, for a new claim,"
            " must be set",
            holds=lambda self: (self.claim_name is None) != (self.size is None),
        ),
    )

    claim_name: fields.Name | None = None
    """claimName is the name of an existing claim."""
    size: fields.Size | None = None
    """size is the size of the claim that the operator creates."""
    storage_class_name: fields.Name | None = None
    """storageClassName is the StorageClass of the claim that the operator creates. If unset, the
    default StorageClass of the cluster is used."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """accessMode is the access mode of the claim that the operator creates. ReadWriteOnce confines
    all server pods to one node."""
    retain: bool = True
    """retain determines whether the claim that the operator creates is kept when the
    FlamingoDeployment is deleted."""


class Cache(Block):
    """Cache determines where the files of the model are kept between starts of server pods."""

    RULES = (
        Rule(
            cel="(self.type == 'PersistentVolumeClaim') == has(self.persistentVolumeClaim)",
            message="cache.persistentVolumeClaim must be set if cache.type is"
            " PersistentVolumeClaim, and only then",
            holds=lambda self: (
                (self.type == "PersistentVolumeClaim") == (self.persistent_volume_claim is not None)
            ),
        ),
        Rule(
            cel="(self.type == 'HostPath') == has(self.hostPath)",
            message="cache.hostPath must be set if cache.type is HostPath, and only then",
            holds=lambda self: (self.type == "HostPath") == (self.host_path is not None),
        ),
        Rule(
            cel="!self.preload || self.type == 'PersistentVolumeClaim'",
            message="cache.preload needs a PersistentVolumeClaim: set cache.type to"
            " PersistentVolumeClaim, or cache.preload to false",
            holds=lambda self: not self.preload or self.type == "PersistentVolumeClaim",
        ),
    )

    type: Literal["EmptyDir", "HostPath", "PersistentVolumeClaim"] = "EmptyDir"
    """type determines where the files are kept. With EmptyDir, every new server pod downloads them
    again."""
    preload: bool = False
    """preload determines whether a Job downloads the model before the first server pod is created.
    It needs type PersistentVolumeClaim."""
    host_path: HostPath | None = None
    """hostPath is the directory of the node, with type HostPath."""
    persistent_volume_claim: VolumeClaim | None = None
    """persistentVolumeClaim is the claim, with type PersistentVolumeClaim."""
