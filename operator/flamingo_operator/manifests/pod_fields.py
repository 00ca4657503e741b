"""The fields of pods and containers that the `server` and `router` blocks have in common.

Pure.
"""

from flamingo_operator.api.names import Component
from flamingo_operator.api.pod import PodBlock
from flamingo_operator.manifests import common, placement
from flamingo_operator.manifests.common import Manifest


def pod_fields(deployment: str, component: Component, block: PodBlock) -> Manifest:
    """Return the fields of a pod's spec that are as the user wrote them, or fixed."""
    return {
        "enableServiceLinks": False,
        "securityContext": block.security_context or common.pod_security(),
        "imagePullSecrets": common.dumped(block.image_pull_secrets),
        "priorityClassName": block.priority_class_name,
        "schedulerName": block.scheduler_name,
        "topologySpreadConstraints": placement.spread_constraints(deployment, component, block),
    }


def container_fields(block: PodBlock, release_image: str) -> Manifest:
    """Return the fields of a container that are as the user wrote them, or fixed."""
    return {
        "image": block.image or release_image,
        "imagePullPolicy": block.image_pull_policy,
        "envFrom": list(block.env_from),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": common.container_security(),
    }
