"""The Service of the routers, in the `router` block.

Pure.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields
from flamingo_operator.api.metadata import ObjectMetadata
from flamingo_operator.api.network_policy import Cidr
from flamingo_operator.api.rules import Rule

_CLASS = "loadBalancerClass"
_BALANCED = (
    "self.type == 'LoadBalancer'"
    " || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges))"
)
_SAME_CLASS = (
    "self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer'"
    f" || (has(self.{_CLASS}) == has(oldSelf.{_CLASS})"
    f" && (!has(self.{_CLASS}) || self.{_CLASS} == oldSelf.{_CLASS}))"
)


class RouterService(ObjectMetadata):
    """RouterService configures the Service that clients call."""

    RULES = (
        *ObjectMetadata.RULES,
        Rule(
            cel=_BALANCED,
            message="service.loadBalancerClass and service.loadBalancerSourceRanges need"
            " service.type LoadBalancer: set it, or remove them",
            holds=lambda self: (
                self.type == "LoadBalancer"
                or (self.load_balancer_class is None and not self.load_balancer_source_ranges)
            ),
        ),
        Rule(
            cel="self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",
            message="service.externalTrafficPolicy needs service.type NodePort or LoadBalancer: set"
            " it, or remove externalTrafficPolicy",
            holds=lambda self: self.type != "ClusterIP" or self.external_traffic_policy is None,
        ),
        Rule(
            cel=_SAME_CLASS,
            message="service.loadBalancerClass cannot be changed while service.type is"
            " LoadBalancer: set service.type to ClusterIP first, which releases the external"
            " address, and then both",
        ),
    )

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """type determines how the Service is exposed."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 80
    """port is the port of the Service."""
    load_balancer_class: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=317,
                pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
            ),
        ]
        | None
    ) = None
    """loadBalancerClass selects the implementation of the load balancer, such as
    service.k8s.aws/nlb. If unset, it is the cluster's default."""
    load_balancer_source_ranges: Annotated[
        list[Cidr],
        Field(max_length=64, json_schema_extra=fields.LIST_SET),
        AfterValidator(fields.require_unique),
    ] = Field(default_factory=list)
    """loadBalancerSourceRanges are the addresses that may use the load balancer, if it supports
    that. If empty, all may."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """externalTrafficPolicy determines whether external traffic may be sent to routers on other
    nodes (Cluster) or not (Local), which preserves the address of the client."""
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    """ipFamilyPolicy determines whether the Service has an IPv4 address, an IPv6 address or both.
    If unset, a new Service has one, of the cluster's first IP family, and another one stays as it
    is."""
    alias: Annotated[str, Field(max_length=63, pattern="^[a-z]([-a-z0-9]*[a-z0-9])?$")] | None = (
        None
    )
    """alias is the name of another Service, which clients call instead, so that their address does
    not change when they move to another FlamingoDeployment. The other fields of this block then
    apply to it, and the Service of the FlamingoDeployment's own name is of type ClusterIP. One
    FlamingoDeployment has an alias at a time; it moves to another one that claims it when the
    first one gives it up."""
