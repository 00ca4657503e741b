"""The template of server pods, the hash that names it, and pods made from it.

The template is stored in a ControllerRevision, and all pods of the revision are created from
that, also by a newer operator, which would render another template from the same spec.

Pure.
"""

import json
from collections.abc import Sequence
from typing import Any

from flamingo_operator.api import names, quantity
from flamingo_operator.api.spec import FlamingoDeployment, Spec
from flamingo_operator.cluster import projection
from flamingo_operator.cluster.observed import Revision
from flamingo_operator.manifests import (
    auth_volumes,
    common,
    container_resources,
    overlay,
    placement,
    pod_fields,
)
from flamingo_operator.manifests.common import Manifest, Release

MODEL_FOLDER = "/models"
SERVICE_ACCOUNT = "servers"
REVISION_CHARS = 10
EXIT_S = 15
"""Time to exit, after the last response."""


def template_hash(template: Manifest) -> str:
    """Return the hash that names a template."""
    return projection.digest(template)[:REVISION_CHARS]


def build_pod(
    deployment: FlamingoDeployment, revision: Revision, ordinal: int, avoided: Sequence[str] = ()
) -> Manifest:
    """Return a server pod of a revision, which must not be placed on the avoided nodes."""
    data = json.loads(revision.template)
    name = names.server_pod(deployment.metadata.name, revision.hash, str(ordinal))
    metadata = common.metadata(deployment, name, "server")
    common.merge_metadata(metadata, data.get("metadata", {}))
    common.merge_metadata(metadata, {"labels": common.ENGINE_LABEL})
    metadata["labels"] |= {names.REVISION_LABEL: revision.hash, names.SERVING_LABEL: "true"}
    if avoided:
        common.merge_metadata(metadata, {"annotations": {names.AVOIDED_NODES: ",".join(avoided)}})
    spec = placement.with_avoided_nodes(data["spec"], avoided)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def build_template(deployment: FlamingoDeployment, release: Release) -> Manifest:
    """Return the template of server pods."""
    name, spec = deployment.metadata.name, deployment.spec
    template: Manifest = {"spec": common.without_empty(_pod_spec(name, spec, release))}
    # Left out if empty, as in templates that were stored before the field existed.
    more = spec.server.pod_metadata.model_dump(exclude_defaults=True)
    template = {"metadata": more, **template} if more else template
    template = overlay.apply_overlay(template, spec.server.pod_template, "server")
    return overlay.canonical_template(template)


def _pod_spec(name: str, spec: Spec, release: Release) -> Manifest:
    drain = spec.drain
    return {
        "serviceAccountName": service_account(name, spec),
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": drain.settle_seconds + drain.deadline_seconds + EXIT_S,
        **pod_fields.pod_fields(name, "server", spec.server),
        **placement.server_placement(spec),
        "resourceClaims": _resource_claims(spec),
        "containers": [_server(spec, release)],
        "volumes": _volumes(name, spec),
    }


def service_account(name: str, spec: Spec) -> str:
    """Return the name of the service account of server pods."""
    return spec.server.service_account_name or f"{name}-{SERVICE_ACCOUNT}"


def _resource_claims(spec: Spec) -> list[Manifest]:
    return [
        one.model_dump(by_alias=True, exclude_none=True, exclude={"request"})
        for one in spec.gpu.resource_claims
    ]


def _resources(spec: Spec) -> Manifest:
    """Return the server container's requests and limits, with its GPU."""
    resources = container_resources.resources_with_defaults(
        spec.server.resources, container_resources.server_defaults(spec)
    )
    if spec.gpu.resource_claims:
        claims = [
            one.model_dump(by_alias=True, exclude_none=True, include={"name", "request"})
            for one in spec.gpu.resource_claims
        ]
        return {**resources, "claims": claims}
    gpu = {spec.gpu.resource_name: str(spec.gpu.count)} if spec.gpu.count else {}
    return {kind: quantities | gpu for kind, quantities in resources.items()}


def _server(spec: Spec, release: Release) -> Manifest:
    server = spec.server
    startup = common.probe(
        "/health/ready", period_s=2, num_failures=server.startup_deadline_seconds // 2
    )
    return {
        "name": "server",
        **pod_fields.container_fields(server, release.server_image),
        "command": ["flamingo", "serve"],
        "args": [*_flags(spec), *server.args],
        "env": server_env(spec),
        "ports": [{"name": "http", "containerPort": common.PORT, "protocol": "TCP"}],
        "resources": _resources(spec),
        "startupProbe": startup,
        "readinessProbe": common.probe("/health/ready", period_s=2, num_failures=2),
        "livenessProbe": common.probe("/health/live", period_s=10, num_failures=6),
        "volumeMounts": [
            {"name": "models", "mountPath": MODEL_FOLDER},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the pod's own
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            *auth_volumes.mounts(spec.auth),
            *server.volume_mounts,
        ],
    }


def _flags(spec: Spec) -> list[str]:
    model = spec.model
    flags = [
        f"--model={model.id}",
        f"--revision={model.revision}",
        f"--host={common.ALL_ADDRESSES}",
        f"--port={common.PORT}",
        f"--dtype={model.dtype}",
        f"--shutdown-delay-s={spec.drain.settle_seconds}",
        f"--grace-period-s={spec.drain.settle_seconds + spec.drain.deadline_seconds}",
    ]
    flags += [f"--served-model-name={model.served_name}"] if model.served_name else []
    flags += [f"--max-audio-s={model.max_audio_seconds}"] if model.max_audio_seconds else []
    # Not auto: an image may show all GPUs of a node to containers that request none.
    flags += ["--device=cpu"] if spec.gpu.count == 0 else []
    return [*flags, *auth_volumes.server_flags(spec.auth)]


def server_env(spec: Spec) -> list[Manifest]:
    """Return the environment variables of a server container."""
    return [*_model_env(spec), *common.dumped(spec.server.env)]


def _model_env(spec: Spec) -> list[Manifest]:
    """Return the variables for the model's files, and for the token to download them."""
    folders: list[Manifest] = [
        {"name": "HF_HOME", "value": f"{MODEL_FOLDER}/huggingface"},
        # The default, stated so that envFrom cannot set another one.
        {"name": "HF_HUB_CACHE", "value": f"{MODEL_FOLDER}/huggingface/hub"},
        {"name": "FLAMINGO_CACHE", "value": f"{MODEL_FOLDER}/flamingo"},
    ]
    token = spec.model.token_secret_ref
    if token is None:
        return folders
    key = {"name": token.name, "key": token.key}
    return [*folders, {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": key}}]


def _volumes(name: str, spec: Spec) -> list[Manifest]:
    defaults = container_resources.server_defaults(spec)
    memory = {"medium": "Memory", "sizeLimit": quantity.canonical(spec.server.shared_memory)}
    return [
        {"name": "models", **models_volume(name, spec)},
        {"name": "shared-memory", "emptyDir": memory},
        {"name": "scratch", "emptyDir": {"sizeLimit": defaults.scratch}},
        *auth_volumes.server_volumes(spec.auth),
        *spec.server.volumes,
    ]


def models_volume(name: str, spec: Spec) -> dict[str, Any]:
    """Return the volume for the model's files."""
    cache = spec.cache
    if cache.host_path is not None:
        # DirectoryOrCreate would create it for root, and a server pod could not write to it.
        return {"hostPath": {"path": cache.host_path.path, "type": "Directory"}}
    if cache.persistent_volume_claim is not None:
        existing = cache.persistent_volume_claim.claim_name
        return {"persistentVolumeClaim": {"claimName": existing or names.cache_claim(name)}}
    return {"emptyDir": {"sizeLimit": container_resources.server_defaults(spec).models}}
