"""The template of server pods, the hash that names it, and pods made from it.

The hash is of what the user wrote about the pod, not of the template: a newer
operator builds other templates from the same spec, and must not restart pods. The
template is stored in a ControllerRevision when the hash is first the spec's, and all
pods of the revision are created from that.

Pure.
"""

import json
from collections.abc import Sequence
from typing import Any

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment, Spec
from flamingo_operator.cluster import projection
from flamingo_operator.cluster.observed import Revision
from flamingo_operator.manifests import auth_volumes, common
from flamingo_operator.manifests.common import Manifest, Release

MODEL_FOLDER = "/models"
SERVICE_ACCOUNT = "servers"
REVISION_CHARS = 10
TEMPLATE_FIELDS = (
    "model",
    "server",
    "gpu",
    "drain",
    "cache",
    "auth",
    "topology_spread_constraints",
    "priority_class_name",
)
"""The fields of a spec that determine the template of a server pod."""
LOST_NODE_TOLERATION_S = 60
"""How long a pod stays bound to a node that is not ready or unreachable, after the 40 s until
Kubernetes notices that. The default of 300 s is too long, because every pod carries load."""
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
EXIT_S = 15
"""Time to exit, after the last response."""


def revision_hash(spec: Spec) -> str:
    """Return the hash of what the user wrote about server pods."""
    template_fields = spec.model_dump(
        mode="json",
        by_alias=True,
        exclude_defaults=True,
        include={*TEMPLATE_FIELDS},
        exclude={"cache": {"preload"}, "auth": {"observe_key_secret_ref"}},
    )
    return projection.digest(template_fields)[:REVISION_CHARS]


def new_revision_manifest(
    deployment: FlamingoDeployment, release: Release, *, number: int, annotations: Manifest
) -> Manifest:
    """Return a ControllerRevision with the template of the current spec."""
    hash_ = revision_hash(deployment.spec)
    return revision_manifest(
        deployment,
        hash_,
        build_template(deployment, release),
        number=number,
        annotations=annotations,
    )


def revision_manifest(
    deployment: FlamingoDeployment,
    hash_: str,
    data: Manifest,
    *,
    number: int,
    annotations: Manifest,
) -> Manifest:
    """Return a ControllerRevision with the template `data`."""
    name = deployment.metadata.name
    metadata = common.metadata(deployment, names.revision(name, hash_), "server")
    metadata["labels"][names.REVISION_LABEL] = hash_
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": metadata,
        "revision": number,
        "data": data,
    }


def build_pod(
    deployment: FlamingoDeployment, revision: Revision, ordinal: int, avoided: Sequence[str] = ()
) -> Manifest:
    """Return a server pod of a revision, which must not be placed on the avoided nodes."""
    data = json.loads(revision.template)
    name = names.server_pod(deployment.metadata.name, revision.hash, str(ordinal))
    metadata = common.metadata(deployment, name, "server")
    common.merge_metadata(metadata, data.get("metadata", {}))
    metadata["labels"] |= {names.REVISION_LABEL: revision.hash, names.SERVING_LABEL: "true"}
    if avoided:
        common.merge_metadata(metadata, {"annotations": {names.AVOIDED_NODES: ",".join(avoided)}})
    spec = _with_avoided_nodes(data["spec"], avoided)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _with_avoided_nodes(spec: Manifest, nodes: Sequence[str]) -> Manifest:
    """Return a pod's spec with node affinity that also excludes `nodes` by name."""
    if not nodes:
        return spec
    affinity = spec.get("affinity", {})
    of_nodes = affinity.get("nodeAffinity", {})
    # matchFields allows one value per requirement. Terms are alternatives, so each of them needs
    # the requirements.
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [one]} for one in nodes]
    terms = of_nodes.get(REQUIRED, {}).get("nodeSelectorTerms", [{}])
    required = {"nodeSelectorTerms": [{**term, "matchFields": fields} for term in terms]}
    return {**spec, "affinity": {**affinity, "nodeAffinity": {**of_nodes, REQUIRED: required}}}


def build_template(deployment: FlamingoDeployment, release: Release) -> Manifest:
    """Return the template of server pods."""
    name, spec = deployment.metadata.name, deployment.spec
    template: Manifest = {"spec": common.without_empty(_pod_spec(name, spec, release))}
    # Left out if empty, as in templates that were stored before the field existed.
    more = spec.server.pod_metadata.model_dump(exclude_defaults=True)
    return {"metadata": more, **template} if more else template


def _pod_spec(name: str, spec: Spec, release: Release) -> Manifest:
    drain = spec.drain
    return {
        "serviceAccountName": f"{name}-{SERVICE_ACCOUNT}",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": common.pod_security(),
        "terminationGracePeriodSeconds": drain.settle_seconds + drain.deadline_seconds + EXIT_S,
        "priorityClassName": spec.priority_class_name,
        "topologySpreadConstraints": [
            {"labelSelector": {"matchLabels": names.selector(name, "server")}, **one}
            for one in spec.topology_spread_constraints
        ],
        "imagePullSecrets": [{"name": one.name} for one in spec.server.image_pull_secrets],
        **placement(spec),
        "containers": [_server(spec, release)],
        "volumes": _volumes(name, spec),
    }


def placement(spec: Spec) -> Manifest:
    """Return the fields that select the nodes of server pods, with preferences."""
    lost = [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": LOST_NODE_TOLERATION_S,
        }
        for state in ("not-ready", "unreachable")
    ]
    tolerations = [one.model_dump(by_alias=True, exclude_none=True) for one in spec.gpu.tolerations]
    return {
        "runtimeClassName": spec.gpu.runtime_class_name,
        "nodeSelector": spec.gpu.node_selector or None,
        "affinity": _affinity(spec),
        "tolerations": tolerations + lost,
    }


def _affinity(spec: Spec) -> Manifest | None:
    products, min_gib = spec.gpu.products, spec.gpu.min_memory_gib
    requirements = [_expression(names.PRODUCT_LABEL, "In", list(products))] if products else []
    if min_gib is not None:
        # The label is in MiB, and a little lower than the nominal size.
        requirements.append(
            _expression("nvidia.com/gpu.memory", "Gt", [str(min_gib * 1024 * 95 // 100)])
        )
    if not requirements:
        return None
    preferred = [
        {
            "weight": 100 - index,
            "preference": {"matchExpressions": [_expression(names.PRODUCT_LABEL, "In", [product])]},
        }
        for index, product in enumerate(products[:-1])
    ]
    required = {"nodeSelectorTerms": [{"matchExpressions": requirements}]}
    return {
        "nodeAffinity": {
            REQUIRED: required,
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        }
    }


def _expression(key: str, operator: str, values: list[str]) -> Manifest:
    return {"key": key, "operator": operator, "values": values}


def _server(spec: Spec, release: Release) -> Manifest:
    server = spec.server
    gpu = {spec.gpu.resource_name: "1"}
    startup = common.probe(
        "/health/ready", period_s=2, num_failures=server.startup_deadline_seconds // 2
    )
    return {
        "name": "server",
        "image": server.image or release.server_image,
        "imagePullPolicy": server.image_pull_policy,
        "command": ["flamingo", "serve"],
        "args": [*_flags(spec), *server.args],
        "env": server_env(spec),
        "ports": [{"name": "http", "containerPort": common.PORT, "protocol": "TCP"}],
        "resources": {
            "requests": common.quantity_strings(server.resources.requests) | gpu,
            "limits": common.quantity_strings(server.resources.limits) | gpu,
        },
        "startupProbe": startup,
        "readinessProbe": common.probe("/health/ready", period_s=2, num_failures=2),
        "livenessProbe": common.probe("/health/live", period_s=10, num_failures=6),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": common.container_security(),
        "volumeMounts": [
            {"name": "models", "mountPath": MODEL_FOLDER},
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108 - the pod's own
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            *auth_volumes.mounts(spec.auth),
        ],
    }


def _flags(spec: Spec) -> list[str]:
    model = spec.model
    flags = [
        f"--model={model.id}",
        f"--revision={model.revision}",
        "--host=0.0.0.0",
        f"--port={common.PORT}",
        f"--dtype={model.dtype}",
        f"--shutdown-delay-s={spec.drain.settle_seconds}",
        f"--grace-period-s={spec.drain.settle_seconds + spec.drain.deadline_seconds}",
    ]
    flags += [f"--served-model-name={model.served_name}"] if model.served_name else []
    flags += [f"--max-audio-s={model.max_audio_seconds}"] if model.max_audio_seconds else []
    return [*flags, *auth_volumes.server_flags(spec.auth)]


def server_env(spec: Spec) -> list[Manifest]:
    """Return the environment variables of a server container."""
    user_env = [var.model_dump(by_alias=True, exclude_none=True) for var in spec.server.env]
    return [*_model_env(spec), *user_env]


def _model_env(spec: Spec) -> list[Manifest]:
    """Return the variables for the model's files, and for the token to download them."""
    folders: list[Manifest] = [
        {"name": "HF_HOME", "value": f"{MODEL_FOLDER}/huggingface"},
        {"name": "FLAMINGO_CACHE", "value": f"{MODEL_FOLDER}/flamingo"},
    ]
    token = spec.model.token_secret_ref
    if token is None:
        return folders
    key = {"name": token.name, "key": token.key}
    return [*folders, {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": key}}]


def _volumes(name: str, spec: Spec) -> list[Manifest]:
    memory = {"medium": "Memory", "sizeLimit": spec.server.shared_memory}
    return [
        {"name": "models", **models_volume(name, spec)},
        {"name": "shared-memory", "emptyDir": memory},
        {"name": "scratch", "emptyDir": {}},
        *auth_volumes.server_volumes(spec.auth),
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
    return {"emptyDir": {}}
