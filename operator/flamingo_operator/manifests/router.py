"""Manifests of the routers: Deployment, Service, RBAC, disruption budget and network policy.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import auth_volumes, common
from flamingo_operator.manifests.common import Manifest, Release

SHUTDOWN_DELAY_S = 5
"""How long a terminating router still accepts requests, until kube-proxy has removed it."""
EXIT_S = 10
"""Time to exit, after the last response."""
SPOOL_FOLDER = "/spool"
SPOOL_GIB = 4
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
        _service(deployment),
        _disruption_budget(deployment),
        _network_policy(deployment),
        _deployment(deployment, release),
    ]


def _object(deployment: FlamingoDeployment, version: str, kind: str, body: Manifest) -> Manifest:
    name = names.router(deployment.metadata.name)
    metadata = common.metadata(deployment, name, "router")
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def _role_binding(deployment: FlamingoDeployment) -> Manifest:
    name = names.router(deployment.metadata.name)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    account = {
        "kind": "ServiceAccount",
        "name": name,
        "namespace": deployment.metadata.namespace,
    }
    body = {"roleRef": role, "subjects": [account]}
    return _object(deployment, "rbac.authorization.k8s.io/v1", "RoleBinding", body)


def _service(deployment: FlamingoDeployment) -> Manifest:
    name, service = deployment.metadata.name, deployment.spec.router.service
    metadata = common.metadata(deployment, names.service(name), "router")
    if service.annotations:
        metadata["annotations"] = dict(service.annotations)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": service.type,
            "selector": names.selector(name, "router"),
            "ports": [
                {"name": "http", "port": service.port, "protocol": "TCP", "targetPort": "http"}
            ],
        },
    }


def _disruption_budget(deployment: FlamingoDeployment) -> Manifest:
    selector = names.selector(deployment.metadata.name, "router")
    body = {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector}}}
    return _object(deployment, "policy/v1", "PodDisruptionBudget", body)


def _network_policy(deployment: FlamingoDeployment) -> Manifest:
    spec = {
        "podSelector": {"matchLabels": names.selector(deployment.metadata.name, "router")},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": "http", "protocol": "TCP"}]}],
    }
    return _object(deployment, "networking.k8s.io/v1", "NetworkPolicy", {"spec": spec})


def _deployment(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name = deployment.metadata.name
    metadata: Manifest = {"labels": names.labels(name, "router")}
    more = deployment.spec.router.pod_metadata.model_dump(exclude_defaults=True)
    common.merge_metadata(metadata, more)
    body = {
        "spec": {
            "replicas": deployment.spec.router.replicas,
            "selector": {"matchLabels": names.selector(name, "router")},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": metadata,
                "spec": _pod_spec(deployment, release),
            },
        }
    }
    return _object(deployment, "apps/v1", "Deployment", body)


def _pod_spec(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name, router = deployment.metadata.name, deployment.spec.router
    spread = {
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": names.selector(name, "router")},
        },
    }
    pull_secrets = [{"name": one.name} for one in deployment.spec.server.image_pull_secrets]
    return {
        "serviceAccountName": names.router(name),
        "enableServiceLinks": False,
        "securityContext": common.pod_security(),
        "terminationGracePeriodSeconds": SHUTDOWN_DELAY_S + _grace_s(deployment) + EXIT_S,
        "imagePullSecrets": pull_secrets,
        "priorityClassName": router.priority_class_name,
        "nodeSelector": router.node_selector or None,
        "tolerations": [
            one.model_dump(by_alias=True, exclude_none=True) for one in router.tolerations
        ],
        "affinity": {
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [spread]}
        },
        "containers": [_router(deployment, release)],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            # More than the router's own limit, because the kubelet evicts a pod that exceeds it.
            {"name": "spool", "emptyDir": {"sizeLimit": f"{SPOOL_GIB + 1}Gi"}},
            *auth_volumes.router_volumes(deployment.spec.auth),
        ],
    }


def _grace_s(deployment: FlamingoDeployment) -> int:
    """Return how long the last request may take: the cold-start hold and the drain deadline."""
    spec = deployment.spec
    return spec.router.admission.max_hold_seconds + spec.drain.deadline_seconds


def _router(deployment: FlamingoDeployment, release: Release) -> Manifest:
    router = deployment.spec.router
    return {
        "name": "router",
        "image": router.image or release.router_image,
        "imagePullPolicy": deployment.spec.server.image_pull_policy,
        "command": ["flamingo", "router"],
        "args": _flags(deployment),
        "ports": [{"name": "http", "containerPort": common.PORT, "protocol": "TCP"}],
        "resources": {
            "requests": common.quantity_strings(router.resources.requests) or None,
            "limits": common.quantity_strings(router.resources.limits) or None,
        },
        # Not /health/ready: without server pods the router must receive requests and hold them,
        # so that the fleet scales up from zero.
        "readinessProbe": common.probe("/health/live", period_s=2, num_failures=2),
        "livenessProbe": common.probe("/health/live", period_s=10, num_failures=3),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": common.container_security(),
        "lifecycle": {"preStop": {"sleep": {"seconds": SHUTDOWN_DELAY_S}}},
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            {"name": "spool", "mountPath": SPOOL_FOLDER},
            *auth_volumes.mounts(deployment.spec.auth),
        ],
    }


def _flags(deployment: FlamingoDeployment) -> list[str]:
    name, namespace = deployment.metadata.name, deployment.metadata.namespace
    admission = deployment.spec.router.admission
    return [
        "--host=0.0.0.0",
        f"--port={common.PORT}",
        f"--endpointslice={namespace}/{names.servers_service(name)}:http",
        f"--max-queued-audio-s={admission.max_queued_audio_seconds}",
        f"--cold-start-hold-s={admission.max_hold_seconds}",
        f"--grace-period-s={_grace_s(deployment)}",
        f"--spool-dir={SPOOL_FOLDER}",
        f"--spool-max-bytes={SPOOL_GIB * 2**30}",
        *auth_volumes.router_flags(deployment.spec.auth, deployment.spec.router.replicas),
    ]
