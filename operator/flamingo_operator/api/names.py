"""Names: of the kind, its labels and annotations, and the objects of one FlamingoDeployment.

The name of a FlamingoDeployment is part of the names of its objects. So its length
and characters are validated with the spec: a pod's name must stay within 63
characters, and a Service's name must begin with a letter.

Pure.
"""

import re
from typing import Literal, TypeAlias, get_args

GROUP = "flamingo.dev"
VERSION = "v1alpha1"
KIND = "FlamingoDeployment"
SINGULAR = "flamingodeployment"
PLURAL = "flamingodeployments"
SHORT_NAME = "fd"
CATEGORY = "flamingo"
CRD = f"{PLURAL}.{GROUP}"

FIELD_MANAGER = "flamingo-operator"
"""The field manager of server-side apply, which distinguishes our fields from those of users and
other controllers."""
INITIAL_FIELD_MANAGER = f"{FIELD_MANAGER}-initial"
"""The field manager of values that the operator set at first and leaves to others since."""

DEPLOYMENT_LABEL = f"{GROUP}/deployment"
COMPONENT_LABEL = f"{GROUP}/component"

REVISION_LABEL = f"{GROUP}/revision"
SERVING_LABEL = f"{GROUP}/serving"
"""`false` removes a pod from its Service while it drains; `true` puts it back."""
DRAIN_STARTED = f"{GROUP}/drain-started"
DRAIN_UNTIL = f"{GROUP}/drain-until"
"""Annotations of a draining pod: timestamps of its start and its deadline."""
ROLLOUT_MOVED = f"{GROUP}/rollout-moved"
ROLLOUT_COMPLETE = f"{GROUP}/rollout-complete"
ROLLOUT_FAILED = f"{GROUP}/rollout-failed"
"""Annotations of a revision: timestamps of its rollout's last progress, completion and failure."""
ROLLOUT_FAILED_BY = f"{GROUP}/rollout-failed-by"
"""Annotation of a revision: why its rollout failed."""
ROLLOUT_BLOCKED = f"{GROUP}/rollout-blocked"
ROLLOUT_BLOCKED_BY = f"{GROUP}/rollout-blocked-by"
"""Annotations of a revision: since when, and why, its rollout finds no room for another pod."""
TEMPLATE_DIGEST = f"{GROUP}/template-digest"
"""Annotation of the preload Job: digest of its pod template, which is immutable."""
DRAIN_ANNOTATION = f"{GROUP}/drain"
"""Annotation of a server pod; with the value "true" a user requests that the pod is drained and
replaced. Scaling and rollouts remove such a pod first."""

TRUSTED_NODES = f"{GROUP}/trusted-nodes"
"""Annotation of a FlamingoDeployment: comma-separated nodes that are never avoided; `*`: all."""
AVOIDED_NODES = f"{GROUP}/avoids"
"""Annotation of a server pod: comma-separated nodes that it must not be placed on."""

PRODUCT_LABEL = "nvidia.com/gpu.product"
"""Label of a node, set by NVIDIA's GPU feature discovery."""

GPU_TAINT = "nvidia.com/gpu"
"""Key of the taint of nodes that are reserved for pods with a GPU."""

RESERVED_PREFIXES = (f"{GROUP}/", "app.kubernetes.io/")
"""Prefixes of the labels and annotations that users must not set on our objects."""

HTTP_PORT = 80

MAX_NAME_CHARS = 40
"""63, less a dash, a revision of ten characters and a suffix of eleven with its dash."""
SERVERS_SUFFIX = "-servers"
"""Suffix of the server pods' Service; a FlamingoDeployment's name must not end with it."""
BATCHES_SUFFIX = "-batches"
"""Suffix of the objects of batches. A FlamingoDeployment's name may end with it: then there is a
conflict of names only with another one that is named the same without it, and has batches."""
NAME_PATTERN = "^[a-z]([-a-z0-9]*[a-z0-9])?$"

Component: TypeAlias = Literal["server", "router", "preload", "batches"]
COMPONENTS: tuple[Component, ...] = get_args(Component)


def is_name(text: str) -> bool:
    """Whether `text` is a valid name of a FlamingoDeployment, apart from its length."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def labels(deployment: str, component: Component) -> dict[str, str]:
    """Return the labels of an object of `deployment`."""
    return {
        "app.kubernetes.io/name": "flamingo",
        "app.kubernetes.io/instance": deployment,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        **selector(deployment, component),
    }


def selector(deployment: str, component: Component) -> dict[str, str]:
    """Return the labels that select the pods of a component; they never change."""
    return {DEPLOYMENT_LABEL: deployment, COMPONENT_LABEL: component}


def selector_string(deployment: str, component: Component) -> str:
    """Return `selector` as a string, for the scale subresource and list requests."""
    return ",".join(f"{key}={value}" for key, value in selector(deployment, component).items())


def service(deployment: str) -> str:
    """Return the name of the routers' Service, which clients call."""
    return deployment


def servers_service(deployment: str) -> str:
    """Return the name of the headless Service through which routers discover server pods."""
    return deployment + SERVERS_SUFFIX


def is_alias(deployment: str, service_name: str) -> bool:
    """Whether a Service of `deployment` is an alias, and not one of its own."""
    own = (service(deployment), servers_service(deployment), batches(deployment))
    return service_name not in own


def router(deployment: str) -> str:
    """Return the name of the routers' Deployment."""
    return f"{deployment}-router"


def batches(deployment: str) -> str:
    """Return the name of the objects of batches: Deployment, Service, claim and others."""
    return deployment + BATCHES_SUFFIX


def server_pod(deployment: str, revision: str, suffix: str) -> str:
    """Return the name of a server pod; `suffix` is unique among the pods of a revision."""
    return f"{deployment}-{revision}-{suffix}"


def cache_claim(deployment: str) -> str:
    """Return the name of the PersistentVolumeClaim for the model's files."""
    return f"{deployment}-cache"


def preload_job(deployment: str, revision: str) -> str:
    """Return the name of the Job that downloads one revision of the model."""
    return f"{deployment}-preload-{revision}"


def disruption_budget(deployment: str) -> str:
    """Return the name of the server pods' PodDisruptionBudget."""
    return f"{deployment}-servers"


def network_policy(deployment: str, component: Component) -> str:
    """Return the name of the NetworkPolicy of the server pods, of the routers or of batches."""
    of = {"server": servers_service, "batches": batches}.get(component, router)
    return of(deployment)


def revision(deployment: str, revision_hash: str) -> str:
    """Return the name of the ControllerRevision with a pod template."""
    return f"{deployment}-{revision_hash}"


def deployment_key(namespace: str, deployment: str) -> str:
    """Return the key of a FlamingoDeployment in queues and caches."""
    return f"{namespace}/{deployment}"


def namespace_of(key: str) -> str:
    """Return the namespace of a FlamingoDeployment's key."""
    return key.partition("/")[0]


def service_url(service_name: str, namespace: str, port: int) -> str:
    """Return the URL of a Service inside the cluster."""
    return f"http://{service_name}.{namespace}.svc" + ("" if port == HTTP_PORT else f":{port}")
