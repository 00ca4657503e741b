"""The `batches` block: the service of files and batches behind the routers.

Its pod has all fields of a router's. Those that are seldom set have only the outline of their
schema in the CRD, which would be too large otherwise; the operator checks them in full.

Pure.
"""

from typing import Annotated, Any

from pydantic import Field

from flamingo_operator.api import fields, pod_rules, quantity
from flamingo_operator.api.core_field import CoreField
from flamingo_operator.api.pod import Json, PodBlock, SecretName
from flamingo_operator.api.pod_overlay import Contract, PodTemplateField
from flamingo_operator.api.rules import Block, Rule

BUCKET_PATTERN = r"^(s3|gs|az)://[^/?#@\s]+(/[^?#\s]*)?$"
OPERATOR_FLAGS = (
    "--port",
    "--host",
    "--fd",
    "--stop-with-parent",
    "--server-url",
    "--server-key",
    "--server-key-file",
    "--database-url",
    "--contents-url",
    "--max-file-bytes",
    "--max-stored-bytes-per-key",
    "--max-active-batches-per-key",
    "--max-running-batches",
    "--max-concurrency",
    "--grace-period-s",
    "--key-file",
)
"""Flags that the operator passes to the service itself, or that do not work in a pod."""
MOUNTS = {"data": "/data", "scratch": "/tmp", "keys": "/keys"}  # noqa: S108 - the pod's own
"""The operator's volumes, and where they are mounted."""
CONTRACT = Contract(block="batches", mounts=MOUNTS)
MIN_SIZE = "1Mi"


class DatabaseKey(Block):
    """DatabaseKey selects the Secret entry with the URL of a database."""

    name: fields.Name
    """name is the name of the Secret, in the namespace of the FlamingoDeployment."""
    key: fields.Name = "url"
    """key is the entry of the Secret: postgresql://USER:PASSWORD@HOST/NAME."""


class Database(Block):
    """Database is the PostgreSQL database of files and batches."""

    secret_ref: DatabaseKey
    """secretRef selects the Secret entry with the URL. Pods read it when they start."""


class Contents(Block):
    """Contents is the bucket for the contents of files and results."""

    url: Annotated[str, Field(max_length=1024, pattern=BUCKET_PATTERN)]
    """url is the bucket and a prefix in it, such as s3://music/batches; also gs:// and az://."""
    secret_ref: SecretName | None = None
    """secretRef selects a Secret whose entries become environment variables, such as
    AWS_ACCESS_KEY_ID. Without it, the ServiceAccount of the pods may have access."""


class BatchStorage(Block):
    """BatchStorage is the PersistentVolumeClaim of the one pod."""

    RULES = (
        Rule(
            cel=f"quantity(string(self.size)).compareTo(quantity('{MIN_SIZE}')) >= 0",
            message=f"size must be at least {MIN_SIZE}: it is in bytes, so add a suffix such as Gi",
            field_path=".size",
            holds=lambda self: quantity.parse(self.size) >= quantity.parse(MIN_SIZE),
        ),
    )

    size: fields.Quantity
    """size is the size of the claim. It may grow later if the StorageClass allows that."""
    storage_class_name: fields.Name | None = None
    """storageClassName is the StorageClass of the claim. If unset, the default StorageClass of the
    cluster is used."""
    retain: bool = True
    """retain determines whether the claim is kept when the FlamingoDeployment is deleted. When
    only batches is removed from the spec, it is kept in any case."""


class BatchLimits(Block):
    """BatchLimits are the limits of the service."""

    max_file_size: fields.Quantity = "200Mi"
    """maxFileSize is the maximum size of an uploaded file. Above it, uploads are rejected with
    status 413."""
    max_stored_size_per_key: fields.Quantity = "100Gi"
    """maxStoredSizePerKey is the maximum size of all files of one API key. Above it, uploads are
    rejected with status 429."""
    max_active_batches_per_key: Annotated[int, Field(ge=1, le=100_000)] = 100
    """maxActiveBatchesPerKey is the maximum number of unfinished batches of one API key. More are
    rejected with status 429."""
    max_running_batches: Annotated[int, Field(ge=1, le=100)] = 32
    """maxRunningBatches is the maximum number of batches that each pod works on at a time, of which
    one API key has at most half. The input file of each needs disk space."""
    max_concurrency: Annotated[int, Field(ge=1, le=4096)] = 64
    """maxConcurrency is the maximum number of requests that each pod sends to the routers at a
    time. It sends fewer while the fleet refuses some."""


class Batches(PodBlock):
    """Batches configures the service that keeps files and works on batches."""

    RULES = (
        Rule(
            cel="has(self.storage) != (has(self.database) && has(self.contents))",
            message="batches.storage must be set unless both batches.database and batches.contents"
            " are: it keeps what the other two do not, and nothing if both are set",
            field_path=".storage",
            holds=lambda self: (
                (self.storage is not None)
                != (self.database is not None and self.contents is not None)
            ),
        ),
        Rule(
            cel="self.replicas <= 1 || (has(self.database) && has(self.contents))",
            message="batches.replicas above 1 needs batches.database and batches.contents, which"
            " several pods can share: set both, or set batches.replicas to 1",
            field_path=".replicas",
            holds=lambda self: (
                self.replicas <= 1 or (self.database is not None and self.contents is not None)
            ),
        ),
        pod_rules.reserved_flags("batches", OPERATOR_FLAGS),
        pod_rules.reserved_prefix("batches"),
        *pod_rules.reserved_volumes("batches", MOUNTS),
        *pod_rules.no_gpu("batches", "remove it; the service needs none"),
    )

    replicas: Annotated[int, Field(ge=1, le=20)] = 1
    """replicas is the number of pods."""
    database: Database | None = None
    """database is a PostgreSQL database. If unset, the one pod keeps SQLite on the claim of
    storage."""
    contents: Contents | None = None
    """contents is a bucket. If unset, the one pod keeps contents on the claim of storage."""
    storage: BatchStorage | None = None
    """storage is the claim for what is neither in a database nor in a bucket."""
    limits: BatchLimits = BatchLimits()
    """limits are the limits of the service."""
    tolerations: Annotated[list[Json], CoreField("PodSpec", "tolerations", is_outlined=True)] = (
        Field(default_factory=list)
    )
    """tolerations are as router.tolerations."""
    affinity: Annotated[Json | None, CoreField("PodSpec", "affinity", is_outlined=True)] = None
    """affinity is as router.affinity."""
    topology_spread_constraints: Annotated[
        list[Json], CoreField("PodSpec", "topologySpreadConstraints", is_outlined=True)
    ] = Field(default_factory=list)
    """topologySpreadConstraints are as router.topologySpreadConstraints."""
    security_context: Annotated[
        Json | None, CoreField("PodSpec", "securityContext", is_outlined=True)
    ] = None
    """securityContext is as router.securityContext."""
    volumes: Annotated[list[Json], CoreField("PodSpec", "volumes", is_outlined=True)] = Field(
        default_factory=list
    )
    """volumes are as router.volumes."""
    volume_mounts: Annotated[
        list[Json], CoreField("Container", "volumeMounts", is_outlined=True)
    ] = Field(default_factory=list)
    """volumeMounts are as router.volumeMounts."""
    pod_template: Annotated[
        dict[str, Any] | None, PodTemplateField(contract=CONTRACT, is_outlined=True)
    ] = None
    """podTemplate is merged into the pods as router.podTemplate is. Its container batches is the
    service; others are sidecars, such as the proxy of a database."""
