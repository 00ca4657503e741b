"""Manifests of batches: Deployment, Service, claim, ServiceAccount and disruption budget.

With a database and a bucket the pods share everything, and are replaced one after the other.
Otherwise there is one pod with a claim, which the old pod must release before the new one starts.

Pure.
"""

from flamingo_operator.api import names, quantity
from flamingo_operator.api.batches import Batches
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import (
    auth_volumes,
    common,
    container_resources,
    disruption_limits,
    overlay,
    placement,
    pod_fields,
)
from flamingo_operator.manifests.common import Manifest, Release

SHUTDOWN_DELAY_S = 5
"""How long a terminating pod still accepts requests, until kube-proxy has removed it."""
GRACE_S = 60
"""How long uploads may take that are under way then. Lines in flight are sent again."""
EXIT_S = 10
STARTUP_S = 300
DATA = "/data"
DATABASE_VARIABLE = "FLAMINGO_BATCHES_DATABASE_URL"


def manifests(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return the manifests of the objects of batches, which the spec has."""
    batches = _batches(deployment)
    return [
        _object(deployment, "v1", "ServiceAccount", {"automountServiceAccountToken": False}),
        _service(deployment),
        *([_claim(deployment)] if batches.storage else []),
        _disruption_budget(deployment),
        _deployment(deployment, release),
    ]


def _batches(deployment: FlamingoDeployment) -> Batches:
    assert deployment.spec.batches is not None
    return deployment.spec.batches


def _object(deployment: FlamingoDeployment, version: str, kind: str, body: Manifest) -> Manifest:
    name = names.batches(deployment.metadata.name)
    metadata = common.metadata(deployment, name, "batches")
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def _service(deployment: FlamingoDeployment) -> Manifest:
    port = {"name": "http", "port": names.HTTP_PORT, "protocol": "TCP", "targetPort": "http"}
    selector = names.selector(deployment.metadata.name, "batches")
    return _object(deployment, "v1", "Service", {"spec": {"selector": selector, "ports": [port]}})


def _claim(deployment: FlamingoDeployment) -> Manifest:
    storage = _batches(deployment).storage
    assert storage is not None
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage.storage_class_name,
        "resources": {"requests": {"storage": quantity.canonical(storage.size)}},
    }
    claim = _object(deployment, "v1", "PersistentVolumeClaim", {"spec": spec})
    if storage.retain:
        del claim["metadata"]["ownerReferences"]
    return claim


def _disruption_budget(deployment: FlamingoDeployment) -> Manifest:
    selector = {"matchLabels": names.selector(deployment.metadata.name, "batches")}
    limit = disruption_limits.limit(_batches(deployment).pdb)
    body = {"spec": {**limit, "selector": selector}}
    return _object(deployment, "policy/v1", "PodDisruptionBudget", body)


def _deployment(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name, batches = deployment.metadata.name, _batches(deployment)
    metadata: Manifest = {"labels": names.labels(name, "batches")}
    common.merge_metadata(metadata, batches.pod_metadata.model_dump(exclude_defaults=True))
    template = {"metadata": metadata, "spec": _pod_spec(deployment, release)}
    body = {
        "spec": {
            "replicas": batches.replicas,
            "selector": {"matchLabels": names.selector(name, "batches")},
            "strategy": _strategy(batches),
            "template": overlay.apply_overlay(template, batches.pod_template, "batches"),
        }
    }
    return _object(deployment, "apps/v1", "Deployment", body)


def _strategy(batches: Batches) -> Manifest:
    if batches.storage:
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _pod_spec(deployment: FlamingoDeployment, release: Release) -> Manifest:
    name, batches = deployment.metadata.name, _batches(deployment)
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": names.batches(name)}}
    scratch = {"sizeLimit": container_resources.batches_defaults(batches.limits).scratch}
    return {
        "serviceAccountName": batches.service_account_name or names.batches(name),
        "terminationGracePeriodSeconds": SHUTDOWN_DELAY_S + GRACE_S + EXIT_S,
        **pod_fields.pod_fields(name, "batches", batches),
        **placement.spread_placement(name, "batches", batches),
        "containers": [_container(deployment, release)],
        "volumes": [
            *([claim] if batches.storage else []),
            {"name": "scratch", "emptyDir": scratch},
            *auth_volumes.batches_volumes(deployment.spec.auth),
            *batches.volumes,
        ],
    }


def _container(deployment: FlamingoDeployment, release: Release) -> Manifest:
    batches = _batches(deployment)
    return {
        "name": "batches",
        **pod_fields.container_fields(batches, release.batches_image),
        "command": ["flamingo", "batches"],
        "args": [*_flags(deployment), *batches.args],
        "env": [*_database_variable(batches), *common.dumped(batches.env)],
        "envFrom": [*_credentials(batches), *batches.env_from],
        "ports": [{"name": "http", "containerPort": common.PORT, "protocol": "TCP"}],
        "resources": container_resources.resources_with_defaults(
            batches.resources, container_resources.batches_defaults(batches.limits)
        ),
        # The first start creates the tables of the database.
        "startupProbe": common.probe("/health/live", period_s=2, num_failures=STARTUP_S // 2),
        "readinessProbe": common.probe("/health/ready", period_s=5, num_failures=2),
        "livenessProbe": common.probe("/health/live", period_s=10, num_failures=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": SHUTDOWN_DELAY_S}}},
        "volumeMounts": [
            *([{"name": "data", "mountPath": DATA}] if batches.storage else []),
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            *auth_volumes.mounts(deployment.spec.auth),
            *batches.volume_mounts,
        ],
    }


def _database_variable(batches: Batches) -> list[Manifest]:
    if batches.database is None:
        return []
    entry = {"secretKeyRef": batches.database.secret_ref.model_dump()}
    return [{"name": DATABASE_VARIABLE, "valueFrom": entry}]


def _credentials(batches: Batches) -> list[Manifest]:
    secret = batches.contents.secret_ref if batches.contents else None
    return [{"secretRef": {"name": secret.name}}] if secret else []


def _flags(deployment: FlamingoDeployment) -> list[str]:
    batches, metadata = _batches(deployment), deployment.metadata
    service = names.service(metadata.name)
    router = names.service_url(service, metadata.namespace, deployment.spec.router.service.port)
    return [
        f"--host={common.ALL_ADDRESSES}",
        f"--port={common.PORT}",
        f"--server-url={router}",
        *([] if batches.database else [f"--database-url=sqlite:///{DATA}/batches.db"]),
        f"--contents-url={batches.contents.url if batches.contents else f'{DATA}/contents'}",
        f"--grace-period-s={GRACE_S}",
        *_limit_flags(batches),
        *auth_volumes.batches_flags(deployment.spec.auth),
    ]


def _limit_flags(batches: Batches) -> list[str]:
    limits = batches.limits
    return [
        f"--max-file-bytes={_num_bytes(limits.max_file_size)}",
        f"--max-stored-bytes-per-key={_num_bytes(limits.max_stored_size_per_key)}",
        f"--max-active-batches-per-key={limits.max_active_batches_per_key}",
        f"--max-running-batches={limits.max_running_batches}",
        f"--max-concurrency={limits.max_concurrency}",
    ]


def _num_bytes(size: int | str) -> int:
    return int(quantity.parse(size))
