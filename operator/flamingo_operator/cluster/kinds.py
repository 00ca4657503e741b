"""The kinds of objects that the operator uses: API paths and label selectors.

Pure.
"""

from dataclasses import dataclass

from flamingo_operator.api import names


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, and its resource in the API."""

    name: str
    version: str
    """Group and version, as in a manifest's apiVersion."""
    plural: str

    @property
    def group(self) -> str:
        """The API group, as in RBAC rules; empty for the core group."""
        return self.version.rpartition("/")[0]

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of one object, of all objects in a namespace, or of all objects."""
        root = "/api/" if "/" not in self.version else "/apis/"
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{self.version}{within}/{self.plural}" + (f"/{name}" if name else "")


RESOURCE = Kind(names.KIND, f"{names.GROUP}/{names.VERSION}", names.PLURAL)
POD = Kind("Pod", "v1", "pods")
NODE = Kind("Node", "v1", "nodes")
EVENT = Kind("Event", "v1", "events")
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")
REVISION = Kind("ControllerRevision", "apps/v1", "controllerrevisions")
POD_MONITOR = Kind("PodMonitor", "monitoring.coreos.com/v1", "podmonitors")
HTTP_ROUTE = Kind("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes")
INFERENCE_POOL = Kind("InferencePool", "inference.networking.k8s.io/v1", "inferencepools")
OWNED_KINDS = (
    REVISION,
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("Service", "v1", "services"),
    Kind("ServiceAccount", "v1", "serviceaccounts"),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("Job", "batch/v1", "jobs"),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
)
"""Kinds of the objects that the operator creates and watches, apart from pods."""
OPTIONAL_KINDS = (POD_MONITOR, HTTP_ROUTE, INFERENCE_POOL)
"""More such kinds, whose CustomResourceDefinition may be missing, installed or removed at any time.
To support one, add it here and return its manifests from `owned_objects.build_manifests`: it is
watched, applied and granted in RBAC where it is served, and left out where it is not."""
ESSENTIAL = frozenset({POD, REVISION})
"""Kinds without which nothing can be decided about a FlamingoDeployment."""
NOT_SERVED = "the API server does not serve it"
"""Why an optional kind that is not installed is unavailable."""
NOT_LISTED = "it was not listed yet"
"""Why a kind is unavailable for a moment."""
HELD = "the spec of such objects cannot be read"
"""Why objects that exist are left as they are."""
UNREQUESTED_KINDS = frozenset({POD_MONITOR.name})
"""Optional kinds that a spec does not ask for: where one is not served, nothing is reported."""
BY_NAME = {kind.name: kind for kind in (POD, *OWNED_KINDS, *OPTIONAL_KINDS)}
SERVER_SELECTOR = f"{names.DEPLOYMENT_LABEL},{names.COMPONENT_LABEL}=server"
ROUTER_SELECTOR = f"{names.DEPLOYMENT_LABEL},{names.COMPONENT_LABEL}=router"
PRELOAD_SELECTOR = f"{names.DEPLOYMENT_LABEL},{names.COMPONENT_LABEL}=preload"
BATCHES_SELECTOR = f"{names.DEPLOYMENT_LABEL},{names.COMPONENT_LABEL}=batches"
OWNED_SELECTOR = names.DEPLOYMENT_LABEL
"""Label selectors, with which the API server filters out objects that are not ours."""
