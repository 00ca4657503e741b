"""Ingress and HTTPRoute of the routers, in the `router` block.

Pure.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from flamingo_operator.api import durations, fields
from flamingo_operator.api.durations import Duration
from flamingo_operator.api.metadata import ObjectMetadata
from flamingo_operator.api.rules import Block, Rule

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_DNS_LABEL}([.]{_DNS_LABEL})*"

HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^([*][.])?{_SUBDOMAIN}$")]
"""A host name, whose first label may be a wildcard."""
HostNames = Annotated[
    list[HostName],
    Field(max_length=16, json_schema_extra=fields.LIST_SET),
    AfterValidator(fields.require_unique),
]
PathPrefix = Annotated[str, Field(min_length=1, max_length=1024, pattern="^/[^ ]*$")]


class Ingress(ObjectMetadata):
    """Ingress makes the routers reachable through an ingress controller."""

    ingress_class_name: fields.Name | None = None
    """ingressClassName is the IngressClass. If unset, it is the default of the cluster."""
    hosts: HostNames = Field(default_factory=list)
    """hosts are the host names of the API. If empty, every host name matches."""
    path: PathPrefix = "/"
    """path is the path under which the API is found. If it is not /, the ingress controller has to
    remove it from requests, which an annotation usually configures."""
    path_type: Literal["Prefix", "ImplementationSpecific"] = "Prefix"
    """pathType determines how path is matched. With ImplementationSpecific, the ingress controller
    determines it; some then take path as a regular expression."""
    tls_secret_name: fields.Name | None = None
    """tlsSecretName is the Secret with the certificate and the key for hosts, for example from
    cert-manager. If unset, the Ingress does not configure TLS."""


class ParentReference(Block):
    """ParentReference selects a Gateway, or one of its listeners."""

    name: fields.Name
    """name is the name of the Gateway."""
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """namespace is the namespace of the Gateway. If unset, it is that of the FlamingoDeployment. A
    listener of a Gateway in another namespace must allow routes from this one."""
    section_name: fields.Name | None = None
    """sectionName is the name of a listener. If unset, all listeners that match are used."""
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """port selects the listeners of one port."""


class RouteTimeouts(Block):
    """RouteTimeouts are the timeouts of an HTTPRoute."""

    RULES = (
        Rule(
            cel="!has(self.request) || !has(self.backendRequest)"
            " || duration(self.request) == duration('0s')"
            " || duration(self.backendRequest) <= duration(self.request)",
            message="timeouts.backendRequest must not be longer than timeouts.request: lower it",
            holds=lambda self: (
                self.request is None
                or self.backend_request is None
                or durations.seconds(self.request) == 0
                or durations.seconds(self.backend_request) <= durations.seconds(self.request)
            ),
        ),
    )

    request: Duration | None = None
    """request is the timeout of a whole request, from its first byte to the last byte of the
    response. 0s disables it. If unset, it is the default of the gateway, which is often shorter
    than a long clip takes."""
    backend_request: Duration | None = None
    """backendRequest is the timeout of one request of the gateway to a router. 0s disables it."""


def _are_distinct(parents: list[ParentReference]) -> bool:
    """Whether no listener is selected twice."""
    for number, one in enumerate(parents):
        for other in parents[:number]:
            is_same = (one.name, one.namespace) == (other.name, other.namespace)
            sections = {one.section_name, other.section_name}
            if is_same and (None in sections or len(sections) == 1):
                return False
    return True


class HTTPRoute(ObjectMetadata):
    """HTTPRoute makes the routers reachable through a Gateway of the Gateway API."""

    RULES = (
        *ObjectMetadata.RULES,
        Rule(
            cel="self.parentRefs.all(a, self.parentRefs.exists_one(b, a == b)"
            " && self.parentRefs.all(b, a == b || a.name != b.name"
            " || has(a.__namespace__) != has(b.__namespace__)"
            " || (has(a.__namespace__) && a.__namespace__ != b.__namespace__)"
            " || (has(a.sectionName) && has(b.sectionName) && a.sectionName != b.sectionName)))",
            message="httpRoute.parentRefs that select the same Gateway must each have another"
            " sectionName: set it, or remove one of them",
            holds=lambda self: _are_distinct(self.parent_refs),
        ),
    )

    parent_refs: Annotated[list[ParentReference], Field(min_length=1, max_length=8)]
    """parentRefs are the Gateways. A Gateway's listener terminates TLS, with a Secret of its
    own."""
    hostnames: HostNames = Field(default_factory=list)
    """hostnames are the host names of the API. If empty, those of the listeners are used."""
    path: PathPrefix = "/"
    """path is the path under which the API is found. If it is not /, the Gateway removes it from
    requests."""
    timeouts: RouteTimeouts | None = None
    """timeouts are the timeouts of requests. If unset, they are the defaults of the gateway."""
