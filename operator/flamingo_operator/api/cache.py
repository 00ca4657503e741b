"""The `cache` block: where the files of the model are kept.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields, quantity
from flamingo_operator.api.pod import Resources
from flamingo_operator.api.rules import Block, Rule


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
        Rule(
            cel="!has(self.size) || quantity(string(self.size)).compareTo(quantity('1Mi')) >= 0",
            message="size must be at least 1Mi: it is in bytes, so add a suffix such as Gi",
            field_path=".size",
            holds=lambda self: (
                self.size is None or quantity.parse(self.size) >= quantity.parse("1Mi")
            ),
        ),
    )

    claim_name: fields.Name | None = None
    """claimName is the name of an existing claim."""
    size: fields.Quantity | None = None
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
            field_path=".persistentVolumeClaim",
            holds=lambda self: (
                (self.type == "PersistentVolumeClaim") == (self.persistent_volume_claim is not None)
            ),
        ),
        Rule(
            cel="(self.type == 'HostPath') == has(self.hostPath)",
            message="cache.hostPath must be set if cache.type is HostPath, and only then",
            field_path=".hostPath",
            holds=lambda self: (self.type == "HostPath") == (self.host_path is not None),
        ),
        Rule(
            cel="!self.preload || self.type == 'PersistentVolumeClaim'",
            message="cache.preload needs a PersistentVolumeClaim: set cache.type to"
            " PersistentVolumeClaim, or cache.preload to false",
            field_path=".preload",
            holds=lambda self: not self.preload or self.type == "PersistentVolumeClaim",
        ),
    )

    type: Literal["EmptyDir", "HostPath", "PersistentVolumeClaim"] = "EmptyDir"
    """type determines where the files are kept. With EmptyDir, every new server pod downloads them
    again."""
    preload: bool = False
    """preload determines whether a Job downloads the model before the first server pod is created.
    It needs type PersistentVolumeClaim."""
    preload_resources: Resources = Resources()
    """preloadResources are the requests and limits of that Job's container. What is unset has
    defaults, so that a ResourceQuota accepts the Job: requests of 100m CPU and 256Mi of memory,
    limits of 1 CPU and 1Gi."""
    host_path: HostPath | None = None
    """hostPath is the directory of the node, with type HostPath."""
    persistent_volume_claim: VolumeClaim | None = None
    """persistentVolumeClaim is the claim, with type PersistentVolumeClaim."""
