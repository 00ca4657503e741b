"""The `router` block: the routers in front of the server pods.

Pure.
"""

from typing import Annotated, Any

from pydantic import Field

from flamingo_operator.api import pod_rules
from flamingo_operator.api.autoscaling import RouterAutoscaling
from flamingo_operator.api.pod import PodBlock
from flamingo_operator.api.pod_overlay import Contract, PodTemplateField
from flamingo_operator.api.router_service import RouterService
from flamingo_operator.api.routes import HTTPRoute, Ingress
from flamingo_operator.api.rules import Block, Rule


class Admission(Block):
    """Admission limits what each router accepts."""

    max_queued_audio_seconds: Annotated[int, Field(ge=1, le=1_000_000)] = 3600
    """maxQueuedAudioSeconds is the maximum duration of audio that may wait in each router. Above
    it, requests are rejected with status 429."""
    max_hold_seconds: Annotated[int, Field(ge=0, le=3600)] = 600
    """maxHoldSeconds is the longest time that a request is held while no server pod is ready. After
    that it is rejected with status 503."""


OPERATOR_FLAGS = (
    "--port",
    "--host",
    "--fd",
    "--stop-with-parent",
    "--endpoint",
    "--dns",
    "--endpointslice",
    "--max-queued-audio-s",
    "--cold-start-hold-s",
    "--grace-period-s",
    "--spool-dir",
    "--spool-max-bytes",
    "--key-file",
    "--pod-key",
    "--pod-key-file",
    "--quota-share",
    "--quota-peers",
    "--batches-url",
)
"""Flags that the operator passes to a router itself, or that do not work in a pod."""
MOUNTS = {"scratch": "/tmp", "spool": "/spool", "keys": "/keys"}  # noqa: S108 - the pod's own
"""The operator's volumes, and where they are mounted."""
CONTRACT = Contract(block="router", mounts=MOUNTS, needs_token=True)


class Router(PodBlock):
    """Router configures the routers in front of the server pods."""

    RULES = (
        Rule(
            cel="self.enabled || (!has(self.ingress) && !has(self.httpRoute)"
            " && !has(self.service.alias))",
            message="router.ingress, router.httpRoute and router.service.alias need the routers:"
            " set router.enabled to true, or remove them",
            holds=lambda self: (
                self.enabled
                or (self.ingress, self.http_route, self.service.alias) == (None, None, None)
            ),
        ),
        Rule(
            cel="!has(self.replicas) || !has(self.autoscaling)",
            message="router.replicas and router.autoscaling must not both be set, because the"
            " HorizontalPodAutoscaler sets the number of router pods: remove router.replicas",
            holds=lambda self: self.replicas is None or self.autoscaling is None,
        ),
        pod_rules.reserved_flags("router", OPERATOR_FLAGS),
        pod_rules.reserved_prefix("router"),
        *pod_rules.reserved_volumes("router", MOUNTS),
        *pod_rules.no_gpu("router", "remove it; a router needs none"),
    )

    enabled: bool = True
    """enabled determines whether routers run. If it is false, clients call the server pods
    directly."""
    replicas: Annotated[int, Field(ge=1, le=20)] | None = None
    """replicas is the number of router pods. If unset, the operator creates two and then leaves
    the number alone, so that kubectl scale or a HorizontalPodAutoscaler may set the replicas of
    the router's Deployment."""
    autoscaling: RouterAutoscaling | None = None
    """autoscaling makes the operator create a HorizontalPodAutoscaler for the router pods."""
    admission: Admission = Admission()
    """admission limits what each router accepts."""
    service: RouterService = RouterService()
    """service configures the Service that clients call."""
    ingress: Ingress | None = None
    """ingress makes the routers reachable through an ingress controller. If unset, there is no
    Ingress."""
    http_route: HTTPRoute | None = None
    """httpRoute makes the routers reachable through a Gateway of the Gateway API. If unset, there
    is no HTTPRoute."""
    pod_template: Annotated[
        dict[str, Any] | None, PodTemplateField(described_depth=1, contract=CONTRACT)
    ] = None
    """podTemplate is merged into the router pods after all other fields, by the merge keys of a
    strategic merge patch. Its container router is the router; others are sidecars. What the
    operator relies on cannot be changed here. server.podTemplate has descriptions of its fields."""
