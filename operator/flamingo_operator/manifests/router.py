"""Manifests of the routers: Deployment, RBAC and disruption budget.

The number of router pods is a field of the Deployment only if `router.replicas` is set.
Otherwise it belongs to whoever sets it: an autoscaler, or a user.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.router import Router
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import (
    auth_volumes,
    common,
    container_resources,
    disruption_limits,
    overlay,
    placement,
    pod_fields,
    router_autoscaler,
)
from flamingo_operator.manifests.common import Manifest, Release

SHUTDOWN_DELAY_S = 5
"""How long a terminating router still accepts requests, until kube-proxy has removed it."""
EXIT_S = 10
"""Time to exit, after the last response."""
STARTUP_S = 300
SPOOL_FOLDER = "/spool"
SPOOL_GIB = 4
DEFAULT_REPLICAS = 2
"""Any router pod may be evicted, so one is not enough."""
RULES = [
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["get", "list", "watch"],
    }
]
"""All that a router needs from the API server: the addresses of the server pods."""


def router_manifests(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return the manifests of the routers' objects."""
    return [
        _object(deployment, "v1", "ServiceAccount", {}),
        _object(deployment, "rbac.authorization.k8s.io/v1", "Role", {"rules": RULES}),
        _role_binding(deployment),
        _disruption_budget(deployment),
        _deployment(deployment, release),
        *router_autoscaler.manifests(deployment),
    ]


def initial_replicas(router: Router) -> int:
    """Return how many router pods a Deployment is created with that others may scale."""
    return router.autoscaling.min_replicas if router.autoscaling else DEFAULT_REPLICAS


def _object(deployment: FlamingoDeployment, version: str, kind: str, body: Manifest) -> Manifest:
    name = names.router(deployment.metadata.name)
    metadata = common.metadata(deployment, name, "router")
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def _role_binding(deployment: FlamingoDeployment) -> Manifest:
    name = names.router(deployment.metadata.name)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    account = {
        "kind": "ServiceAccount",
        "name": _service_account(deployment),
        "namespace": deployment.metadata.namespace,
    }
    body = {"roleRef": role, "subjects": [account]}
    return _object(deployment, "rbac.authorization.k8s.io/v1", "RoleBinding", body)


def _disruption_budget(deployment: FlamingoDeployment) -> Manifest:
    selector = names.selector(deployment.metadata.name, "router")
    limit = disruption_limits.limit(deployment.spec.router.pdb)
    body = {"spec": {**limit, "selector": {"matchLabels": selector}}}
    return _object(deployment, "policy/v1", "PodDisruptionBudget", body)


def _deployment(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name, router = deployment.metadata.name, deployment.spec.router
    metadata: Manifest = {"labels": names.labels(name, "router")}
    more = router.pod_metadata.model_dump(exclude_defaults=True)
    common.merge_metadata(metadata, more)
    template = {"metadata": metadata, "spec": _pod_spec(deployment, release)}
    body = {
        "spec": {
            "replicas": router.replicas,
            "selector": {"matchLabels": names.selector(name, "router")},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": overlay.apply_overlay(template, router.pod_template, "router"),
        }
    }
    return _object(deployment, "apps/v1", "Deployment", body)


def _pod_spec(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name, router = deployment.metadata.name, deployment.spec.router
    return {
        "serviceAccountName": _service_account(deployment),
        "terminationGracePeriodSeconds": SHUTDOWN_DELAY_S + _grace_s(deployment) + EXIT_S,
        **pod_fields.pod_fields(name, "router", router),
        **placement.spread_placement(name, "router", router),
        "containers": [_router(deployment, release)],
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": container_resources.ROUTER.scratch}},
            # More than the router's own limit, because the kubelet evicts a pod that exceeds it.
            {"name": "spool", "emptyDir": {"sizeLimit": f"{SPOOL_GIB + 1}Gi"}},
            *auth_volumes.router_volumes(deployment.spec.auth),
            *router.volumes,
        ],
    }


def _service_account(deployment: FlamingoDeployment) -> str:
    own = names.router(deployment.metadata.name)
    return deployment.spec.router.service_account_name or own


def _grace_s(deployment: FlamingoDeployment) -> int:
    """Return how long the last request may take: the cold-start hold and the drain deadline."""
    spec = deployment.spec
    return spec.router.admission.max_hold_seconds + spec.drain.deadline_seconds


def _router(deployment: FlamingoDeployment, release: Release) -> Manifest:
    router = deployment.spec.router
    return {
        "name": "router",
        **pod_fields.container_fields(router, release.router_image),
        "command": ["flamingo", "router"],
        "args": [*_flags(deployment), *router.args],
        "env": common.dumped(router.env),
        "ports": [{"name": "http", "containerPort": common.PORT, "protocol": "TCP"}],
        "resources": container_resources.resources_with_defaults(
            router.resources, container_resources.ROUTER
        ),
        # On a busy node a router needs longer to start than the liveness probe allows.
        "startupProbe": common.probe("/health/live", period_s=2, num_failures=STARTUP_S // 2),
        # Not /health/ready: without server pods the router must receive requests and hold them,
        # so that the fleet scales up from zero.
        "readinessProbe": common.probe("/health/live", period_s=2, num_failures=2),
        "livenessProbe": common.probe("/health/live", period_s=10, num_failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": SHUTDOWN_DELAY_S}}},
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            {"name": "spool", "mountPath": SPOOL_FOLDER},
            *auth_volumes.mounts(deployment.spec.auth),
            *router.volume_mounts,
        ],
    }


def _flags(deployment: FlamingoDeployment) -> list[str]:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    admission = deployment.spec.router.admission
    return [
        f"--host={common.ALL_ADDRESSES}",
        f"--port={common.PORT}",
        f"--endpointslice={namespace}/{names.servers_service(name)}:http",
        f"--max-queued-audio-s={admission.max_queued_audio_seconds}",
        f"--cold-start-hold-s={admission.max_hold_seconds}",
        f"--grace-period-s={_grace_s(deployment)}",
        f"--spool-dir={SPOOL_FOLDER}",
        f"--spool-max-bytes={SPOOL_GIB * 2**30}",
        *auth_volumes.router_flags(deployment.spec.auth, f"{namespace}/{names.service(name)}"),
        *_batches_flag(deployment),
    ]


def _batches_flag(deployment: FlamingoDeployment) -> list[str]:
    if deployment.spec.batches is None:
        return []
    service = names.batches(deployment.metadata.name)
    url = names.service_url(service, deployment.metadata.namespace, names.HTTP_PORT)
    return [f"--batches-url={url}"]
