"""The `router` block: the routers in front of the server pods.

Pure.
"""

from typing import Annotated, Literal

from pydantic import Field

from flamingo_operator.api import fields
from flamingo_operator.api.rules import Block
from flamingo_operator.api.server import PodMetadata, Resources, Toleration


class Admission(Block):
    """Admission limits what each router accepts."""

    max_queued_audio_seconds: Annotated[int, Field(ge=1, le=1_000_000)] = 3600
    """maxQueuedAudioSeconds is the maximum duration of audio that may wait in each router. Above
    it, requests are rejected with status 429."""
    max_hold_seconds: Annotated[int, Field(ge=0, le=3600)] = 600
    """maxHoldSeconds is the longest time that a request is held while no server pod is ready. After
    that it is rejected with status 503."""


class RouterService(Block):
    """RouterService configures the Service that clients call."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """type determines how the Service is exposed."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 80
    """port is the port of the Service."""
    annotations: fields.Labels = Field(default_factory=dict)
    """annotations are added to the Service, for example to configure a cloud load balancer."""


class Router(Block):
    """Router configures the routers in front of the server pods."""

    enabled: bool = True
    """enabled determines whether routers run. If it is false, clients call the server pods
    directly."""
    replicas: Annotated[int, Field(ge=1, le=20)] = 2
    """replicas is the number of router pods. Any of them may be evicted."""
    image: fields.Image | None = None
    """image is the container image of the routers. If unset, the image of the operator's release
    is used."""
    resources: Resources = Resources()
    """resources are the CPU and memory requests and limits of the router container."""
    pod_metadata: PodMetadata = PodMetadata()
    """podMetadata is added to the metadata of the router pods."""
    node_selector: fields.Labels = Field(default_factory=dict)
    """nodeSelector lists the labels that a node must have to run a router pod."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(default_factory=list)
    """tolerations are the tolerations of the router pods."""
    priority_class_name: fields.Name | None = None
    """priorityClassName is the PriorityClass of the router pods."""
    admission: Admission = Admission()
    """admission limits what each router accepts."""
    service: RouterService = RouterService()
    """service configures the Service that clients call."""
