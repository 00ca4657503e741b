"""The `networkPolicy` block: who may connect to the pods.

Pure.
"""

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block, Rule


def check_cidr(text: str) -> str:
    """Return `text` if it is a range of IP addresses.

    Raises:
        ValueError: it is not.
    """
    if "/" not in text:
        raise ValueError(f"{text!r} is not a valid CIDR, such as 10.0.0.0/8")
    ipaddress.ip_network(text, strict=False)
    return text


Cidr = Annotated[
    str, Field(max_length=43, json_schema_extra={"format": "cidr"}), AfterValidator(check_cidr)
]
"""A range of IPv4 or IPv6 addresses."""


class SelectorRequirement(Block):
    """SelectorRequirement is one condition on a label."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """key is the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """operator determines how the label is compared with values."""
    values: Annotated[list[fields.Label], Field(max_length=32)] = Field(default_factory=list)
    """values are the values for the operators In and NotIn."""


class Selector(Block):
    """Selector selects objects by their labels. An empty selector selects all."""

    match_labels: Annotated[dict[str, fields.Label], Field(max_length=32)] = Field(
        default_factory=dict
    )
    """matchLabels are labels that an object must have."""
    match_expressions: Annotated[list[SelectorRequirement], Field(max_length=16)] = Field(
        default_factory=list
    )
    """matchExpressions are conditions that an object's labels must satisfy."""


class IPBlock(Block):
    """IPBlock is a range of IP addresses."""

    cidr: Cidr
    """cidr is the range, such as 10.0.0.0/8."""
    excluded: Annotated[list[Cidr], Field(max_length=32)] = Field(
        default_factory=list, alias="except"
    )
    """except lists ranges within cidr that are left out."""


class NetworkPolicyPeer(Block):
    """NetworkPolicyPeer selects who may connect, as in a NetworkPolicy."""

    RULES = (
        Rule(
            cel="has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
            message="a peer must have either ipBlock, or podSelector, namespaceSelector or both",
            holds=lambda self: (
                (self.ip_block is not None)
                != (self.pod_selector is not None or self.namespace_selector is not None)
            ),
        ),
    )

    pod_selector: Selector | None = None
    """podSelector selects pods: in the namespaces of namespaceSelector or, if that is unset, in the
    namespace of the FlamingoDeployment."""
    namespace_selector: Selector | None = None
    """namespaceSelector selects namespaces. Select one by its name with the label
    kubernetes.io/metadata.name."""
    ip_block: IPBlock | None = None
    """ipBlock selects IP addresses, usually outside of the cluster."""


Peers = Annotated[list[NetworkPolicyPeer], Field(max_length=32)]


class NetworkPolicy(Block):
    """NetworkPolicy configures who may connect to the pods."""

    enabled: bool = True
    """enabled determines whether the operator creates NetworkPolicies for the pods."""
    clients: Peers | None = None
    """clients may send requests to the routers or, if router.enabled is false, to the server pods.
    If unset, everyone may. If set, include the ingress controller or the gateway."""
    server_clients: Peers = Field(default_factory=list)
    """serverClients may send requests to the server pods directly, in addition to the routers of
    this FlamingoDeployment and the operator. An endpoint picker and its gateway need this."""
    scrapers: Peers | None = None
    """scrapers may read the metrics of the pods. If unset, all pods of the namespaces in the flag
    --scraper-namespaces of the operator may, by default those of the namespace monitoring."""
