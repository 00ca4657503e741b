"""The router before the servers.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block
from flamingo_operator.api.server import PodMetadata, Resources, Toleration


class Admission(Block):
    """What the router takes on."""

    max_queued_audio_seconds: Annotated[int, Field(ge=1, le=1_000_000)] = 3600
    """Most audio waiting in the router; above it: 429."""
    max_hold_seconds: Annotated[int, Field(ge=0, le=3600)] = 600
    """Longest that a request waits for a first server to start; then 503."""


class RouterService(Block):
    """The Service that clients call."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Who can reach it."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 80
    """The Service's port."""
    annotations: fields.Labels = Field(default_factory=dict)
    """For a cloud's load balancer."""


class Router(Block):
    """The router before the servers."""

    enabled: bool = True
    """False leaves clients to call the servers themselves."""
    replicas: Annotated[int, Field(ge=1, le=20)] = 2
    """Number of routers; each may be killed."""
    image: fields.Image | None = None
    """Default: the image of the operator's own release."""
    resources: Resources = Resources()
    """CPU and memory."""
    pod_metadata: PodMetadata = PodMetadata()
    """More labels and annotations of the routers' pods."""
    node_selector: fields.Labels = Field(default_factory=dict)
    """Labels that a router's node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(default_factory=list)
    """Taints that do not keep routers away."""
    priority_class_name: fields.Name | None = None
    """Priority of the routers' pods."""
    admission: Admission = Admission()
    """What it takes on."""
    service: RouterService = RouterService()
    """Where it answers."""
