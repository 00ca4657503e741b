"""The `gpu` block: the GPU of each server pod.

Pure.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields, quantity
from flamingo_operator.api.rules import Block, Rule


class GpuClaim(Block):
    """GpuClaim is a ResourceClaim of each server pod, for dynamic resource allocation."""

    RULES = (
        Rule(
            cel="has(self.resourceClaimName) != has(self.resourceClaimTemplateName)",
            message="exactly one of resourceClaimName, which all server pods share, and"
            " resourceClaimTemplateName, for a claim of each server pod, must be set",
            holds=lambda self: (
                (self.resource_claim_name is None) != (self.resource_claim_template_name is None)
            ),
        ),
    )

    name: Annotated[str, Field(max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """name is the name of the claim in the pod."""
    resource_claim_name: fields.Name | None = None
    """resourceClaimName is the name of an existing ResourceClaim, which all server pods share."""
    resource_claim_template_name: fields.Name | None = None
    """resourceClaimTemplateName is the name of the ResourceClaimTemplate from which the claim of
    each server pod is created."""
    request: fields.Label | None = None
    """request is the request in the claim whose device the server container uses. If unset, it
    uses all devices of the claim."""


class Gpu(Block):
    """Gpu selects the GPU of each server pod."""

    RULES = (
        Rule(
            cel="!has(self.minMemory) || quantity(string(self.minMemory)).compareTo("
            "quantity('1Gi')) >= 0",
            message="gpu.minMemory must be at least 1Gi: it is in bytes, so add the suffix Gi",
            field_path=".minMemory",
            holds=lambda self: (
                self.min_memory is None or quantity.parse(self.min_memory) >= quantity.parse("1Gi")
            ),
        ),
        Rule(
            cel="self.count > 0 || (!has(self.minMemory) && (!has(self.products)"
            " || self.products.size() == 0) && (!has(self.resourceClaims)"
            " || self.resourceClaims.size() == 0))",
            message="gpu.products, gpu.minMemory and gpu.resourceClaims select a GPU, and gpu.count"
            " is 0: remove them, or set gpu.count to 1",
            field_path=".count",
            holds=lambda self: (
                self.count > 0
                or not (self.products or self.resource_claims or self.min_memory is not None)
            ),
        ),
    )

    count: Annotated[int, Field(ge=0, le=1)] = 1
    """count is the number of GPUs of each server pod. With 0 it runs on the CPU of any node, which
    suits the model flamingo-tiny."""
    resource_name: Annotated[
        str, Field(max_length=100, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")
    ] = "nvidia.com/gpu"
    """resourceName is the extended resource of the device plugin. It may be a MIG slice such as
    nvidia.com/mig-3g.40gb. It is not used with resourceClaims."""
    resource_claims: Annotated[
        list[GpuClaim],
        Field(max_length=8, json_schema_extra=fields.LIST_MAP_BY_NAME),
        AfterValidator(fields.require_unique_names),
    ] = Field(default_factory=list)
    """resourceClaims are the ResourceClaims through which each server pod gets its GPU, instead of
    resourceName. They need a driver for dynamic resource allocation."""
    products: Annotated[
        list[fields.Label],
        Field(max_length=16, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.require_unique),
    ] = Field(default_factory=list)
    """products are the allowed values of the node label nvidia.com/gpu.product, the preferred one
    first. If empty, any GPU is allowed."""
    min_memory: fields.Quantity | None = None
    """minMemory is the minimum memory of the GPU, such as 40Gi, according to the node label
    nvidia.com/gpu.memory, or for a MIG slice according to the label of its resourceName, such as
    nvidia.com/mig-3g.40gb.memory."""

    @property
    def shown_name(self) -> str:
        """What a server pod requests, in words."""
        return "device for the resource claims" if self.resource_claims else self.resource_name

    @property
    def unavailable_message(self) -> str:
        """What the scheduler's message contains if no node has what a server pod requests."""
        if self.resource_claims:
            return "cannot allocate all claims"
        return f"Insufficient {self.resource_name}"
