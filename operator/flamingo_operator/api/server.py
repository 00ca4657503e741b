"""What one server is: its checkpoint, its container, its GPU and its files.

Pods always have exactly one GPU, so nothing here counts GPUs.

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
"""What the operator itself tells a server."""


class SecretKey(Block):
    """One key of a Secret in the same namespace."""

    name: fields.Name
    """The Secret."""
    key: fields.Name = "token"
    """The key in it."""


class Model(Block):
    """The checkpoint that is served."""

    RULES = (
        Rule(
            cel="self.id == oldSelf.id",
            message="model.id cannot change, because measured capacity and cold start belong to"
            " it; create another FlamingoDeployment",
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
    """A hub id such as nvidia/music-flamingo-2601-hf, or flamingo-tiny, which is built in."""
    revision: Annotated[str, Field(min_length=1, max_length=64)] = "main"
    """Branch, tag or commit. Quote a commit: YAML reads some of them as numbers."""
    served_name: fields.ShortText | None = None
    """Name in /v1/models and in answers; default: model.id."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Type of the weights; auto is bfloat16 on a GPU."""
    max_audio_seconds: Annotated[int, Field(ge=1, le=7200)] | None = None
    """Longest clip taken; default and ceiling: what the checkpoint takes."""
    token_secret_ref: SecretKey | None = None
    """The hub's token, for a checkpoint that is not public."""


class EnvVar(Block):
    """An environment variable of the server's container."""

    name: fields.ShortText
    """Its name; FLAMINGO_* belongs to the operator."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """Its value."""
    value_from: fields.PodField | None = None
    """Where its value comes from, as in a pod."""


class SecretName(Block):
    """A Secret in the same namespace."""

    name: fields.Name
    """The Secret."""


class Resources(Block):
    """CPU and memory of the server's container, as in a pod."""

    RULES = (
        Rule(
            cel="!has(self.limits) || !self.limits.exists(k, k.endsWith('/gpu')"
            " || k.contains('/mig-'))",
            message="set the GPU in spec.gpu, not in resources: a server has exactly one",
            holds=lambda self: (
                not any(name.endswith("/gpu") or "/mig-" in name for name in self.limits)
            ),
        ),
    )

    requests: fields.Quantities = Field(default_factory=dict)
    """What the scheduler sets aside."""
    limits: fields.Quantities = Field(default_factory=dict)
    """What the container may not exceed."""


def _not_ours(field: str) -> Rule:
    ours = names.OWN_PREFIXES
    return Rule(
        cel=f"!has(self.{field}) || !self.{field}.exists(k, "
        + " || ".join(f"k.startsWith('{prefix}')" for prefix in ours)
        + ")",
        message=f"remove {' and '.join(f'{prefix}*' for prefix in ours)} from {field}: the operator"
        " sets them",
        holds=lambda self: not any(key.startswith(ours) for key in getattr(self, field)),
    )


class PodMetadata(Block):
    """What else is written on pods, for meshes, queues and collectors."""

    RULES = (_not_ours("labels"), _not_ours("annotations"))

    labels: fields.Labels = Field(default_factory=dict)
    """More labels."""
    annotations: fields.Labels = Field(default_factory=dict)
    """More annotations."""


class Server(Block):
    """The model server: one pod, one GPU."""

    RULES = (
        Rule(
            cel="!has(self.args) || !self.args.exists(a, "
            + " || ".join(f"a.startsWith('{flag}')" for flag in OPERATOR_FLAGS)
            + ")",
            message=f"remove {', '.join(OPERATOR_FLAGS)} from args: the operator sets them",
            holds=lambda self: not any(arg.startswith(OPERATOR_FLAGS) for arg in self.args),
        ),
        Rule(
            cel="!has(self.env) || !self.env.exists(e, e.name.startsWith('FLAMINGO_'))",
            message="remove FLAMINGO_* from env: the operator sets them; use args instead",
            holds=lambda self: not any(var.name.startswith("FLAMINGO_") for var in self.env),
        ),
    )

    image: fields.Image | None = None
    """Default: the image of the operator's own release."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    image_pull_secrets: Annotated[list[SecretName], Field(max_length=8)] = Field(
        default_factory=list
    )
    """Secrets with the registry's credentials."""
    args: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=64)] = Field(
        default_factory=list
    )
    """More flags of the server, such as --max-concurrent-answers=64."""
    env: Annotated[
        list[EnvVar],
        Field(max_length=64, json_schema_extra=fields.LIST_MAP_BY_NAME),
        AfterValidator(fields.unique_names),
    ] = Field(default_factory=list)
    """Environment variables."""
    resources: Resources = Resources()
    """CPU and memory, without the GPU."""
    shared_memory: fields.Size = "2Gi"
    """Size of /dev/shm."""
    pod_metadata: PodMetadata = PodMetadata()
    """More labels and annotations of the servers' pods."""
    startup_deadline_seconds: Annotated[int, Field(ge=30, le=21_600)] = 1800
    """Time to fetch and load the model and to answer a warm-up clip."""


class Toleration(Block):
    """A taint that does not keep the server away, as in a pod."""

    key: Annotated[str, Field(max_length=253)] | None = None
    """The taint's key; none means all."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Whether the value counts."""
    value: fields.Label | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; none means all."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a NoExecute taint is tolerated."""


class Gpu(Block):
    """The one GPU of each server."""

    resource_name: Annotated[
        str, Field(max_length=100, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    ] = "nvidia.com/gpu"
    """The device plugin's resource; a MIG slice such as nvidia.com/mig-3g.40gb is one too."""
    products: Annotated[
        list[fields.Label],
        Field(max_length=16, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.unique),
    ] = Field(default_factory=list)
    """Values of the node label nvidia.com/gpu.product, best first; none means any."""
    min_memory_gib: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, alias="minMemoryGiB"
    )
    """Least memory of the GPU, by the node label nvidia.com/gpu.memory."""
    runtime_class_name: fields.Name | None = None
    """Where NVIDIA's container runtime is not the nodes' own: as a rule, nvidia."""
    node_selector: fields.Labels = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(
        default=[Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")]
    )
    """Taints that do not keep the servers away."""


class HostPath(Block):
    """A folder of the node."""

    path: Annotated[str, Field(max_length=1024, pattern="^/")]
    """The folder, which exists and which user 10001 may write to."""


class VolumeClaim(Block):
    """A claim that holds the model's files."""

    RULES = (
        Rule(
            cel="has(self.claimName) != has(self.size)",
            message="give either claimName, an existing claim, or size, for one that is made",
            holds=lambda self: (self.claim_name is None) != (self.size is None),
        ),
    )

    claim_name: fields.Name | None = None
    """An existing claim."""
    size: fields.Size | None = None
    """Size of a claim that the operator makes."""
    storage_class_name: fields.Name | None = None
    """Storage class of that claim; default: the cluster's own."""
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = "ReadWriteMany"
    """ReadWriteOnce binds all servers to one node."""
    retain: bool = True
    """Keep the claim when the FlamingoDeployment is deleted."""


class Cache(Block):
    """Where the model's files are kept between starts."""

    RULES = (
        Rule(
            cel="(self.type == 'PersistentVolumeClaim') == has(self.persistentVolumeClaim)",
            message="give cache.persistentVolumeClaim with cache.type PersistentVolumeClaim, and"
            " only with it",
            holds=lambda self: (
                (self.type == "PersistentVolumeClaim") == (self.persistent_volume_claim is not None)
            ),
        ),
        Rule(
            cel="(self.type == 'HostPath') == has(self.hostPath)",
            message="give cache.hostPath with cache.type HostPath, and only with it",
            holds=lambda self: (self.type == "HostPath") == (self.host_path is not None),
        ),
        Rule(
            cel="!self.preload || self.type == 'PersistentVolumeClaim'",
            message="set cache.type to PersistentVolumeClaim, or cache.preload to false",
            holds=lambda self: not self.preload or self.type == "PersistentVolumeClaim",
        ),
    )

    type: Literal["EmptyDir", "HostPath", "PersistentVolumeClaim"] = "EmptyDir"
    """EmptyDir is fetched again by every new server."""
    preload: bool = False
    """Fetch the model in a Job before the first server starts."""
    host_path: HostPath | None = None
    """The folder, with type HostPath."""
    persistent_volume_claim: VolumeClaim | None = None
    """The claim, with type PersistentVolumeClaim."""
