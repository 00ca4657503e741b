"""What everything is called: the kind, its labels, and the objects made for one deployment.

A deployment's name is part of every other name, so its length and letters are
bounded where it is accepted (`spec.FlamingoDeployment`): a pod's name must stay
within 63 characters, and a Service's must begin with a letter.

Pure.
"""

import re
from typing import Literal, TypeAlias

GROUP = "flamingo.dev"
VERSION = "v1alpha1"
KIND = "FlamingoDeployment"
SINGULAR = "flamingodeployment"
PLURAL = "flamingodeployments"
SHORT_NAME = "fd"
CATEGORY = "flamingo"
CRD = f"{PLURAL}.{GROUP}"

FIELD_MANAGER = "flamingo-operator"
"""Who owns the fields we apply: server-side apply tells us from users and other controllers."""

DEPLOYMENT_LABEL = f"{GROUP}/deployment"
COMPONENT_LABEL = f"{GROUP}/component"

REVISION_LABEL = f"{GROUP}/revision"
SERVING_LABEL = f"{GROUP}/serving"
"""`false` takes a pod out of its Service while it drains, and can be taken back."""
DRAIN_STARTED = f"{GROUP}/drain-started"
DRAIN_UNTIL = f"{GROUP}/drain-until"
"""Annotations of a pod that drains: moments, as Kubernetes writes them."""
ROLLOUT_MOVED = f"{GROUP}/rollout-moved"
ROLLOUT_COMPLETE = f"{GROUP}/rollout-complete"
ROLLOUT_FAILED = f"{GROUP}/rollout-failed"
"""Annotations of a revision: until when its rollout is known to move, and when it carried the load
or was given up."""
DRAIN_ANNOTATION = f"{GROUP}/drain"
"""On a server's pod, with the value "true": a person asks for this server to be drained and
replaced. Whoever scales or rolls out takes such a pod first."""

TRUSTED_NODES = f"{GROUP}/trusted-nodes"
"""On a FlamingoDeployment: nodes, separated by commas, that are not avoided; `*`: none is."""
AVOIDS = f"{GROUP}/avoids"
"""On a server's pod: nodes, separated by commas, that it must not be placed on."""

PRODUCT_LABEL = "nvidia.com/gpu.product"
"""On a node, by NVIDIA's feature discovery."""

OWN_PREFIXES = (f"{GROUP}/", "app.kubernetes.io/")
"""Of the labels and annotations that nobody else may set on our objects."""

HTTP_PORT = 80

MAX_NAME_CHARS = 40
"""63, less a dash, a revision of ten and a suffix of eleven with its dash."""
SERVERS_SUFFIX = "-servers"
"""No deployment's name ends so: its Service would be another's."""
NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"

Component: TypeAlias = Literal["server", "router", "preload"]


def is_name(text: str) -> bool:
    """Whether `text` is made of what names of deployments are made of."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def split_csv(text: str) -> tuple[str, ...]:
    """Return the words of an annotation that has several, separated by commas."""
    return tuple(word for one in text.split(",") if (word := one.strip()))


def labels(deployment: str, component: Component) -> dict[str, str]:
    """Return the labels of an object that belongs to `deployment`."""
    return {
        "app.kubernetes.io/name": "flamingo",
        "app.kubernetes.io/instance": deployment,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        **selector(deployment, component),
    }


def selector(deployment: str, component: Component) -> dict[str, str]:
    """Return the labels that find a component's pods; they never change."""
    return {DEPLOYMENT_LABEL: deployment, COMPONENT_LABEL: component}


def selector_string(deployment: str, component: Component) -> str:
    """Return `selector` as the scale subresource and `kubectl -l` write it."""
    return ",".join(f"{key}={value}" for key, value in selector(deployment, component).items())


def service(deployment: str) -> str:
    """Return the Service that clients call: the router's."""
    return deployment


def servers_service(deployment: str) -> str:
    """Return the headless Service in which the router finds the servers."""
    return deployment + SERVERS_SUFFIX


def router(deployment: str) -> str:
    """Return the router's Deployment."""
    return f"{deployment}-router"


def server_pod(deployment: str, revision: str, suffix: str) -> str:
    """Return a server's pod; `suffix` tells the pods of one revision apart."""
    return f"{deployment}-{revision}-{suffix}"


def cache_claim(deployment: str) -> str:
    """Return the claim that holds the model's files."""
    return f"{deployment}-cache"


def preload_job(deployment: str, revision: str) -> str:
    """Return the Job that fills the claim for one revision of the model."""
    return f"{deployment}-preload-{revision}"


def disruption_budget(deployment: str) -> str:
    """Return the servers' PodDisruptionBudget."""
    return f"{deployment}-servers"


def revision(deployment: str, revision_hash: str) -> str:
    """Return the ControllerRevision that keeps a pod template."""
    return f"{deployment}-{revision_hash}"


def deployment_key(namespace: str, deployment: str) -> str:
    """Return the name by which queues and caches know a deployment."""
    return f"{namespace}/{deployment}"


def service_url(service_name: str, namespace: str, port: int) -> str:
    """Return where a Service answers, inside the cluster."""
    return f"http://{service_name}.{namespace}.svc" + ("" if port == HTTP_PORT else f":{port}")
