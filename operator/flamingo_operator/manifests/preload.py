"""The PersistentVolumeClaim for the model's files, and the Job that downloads them once.

The Job's pod is made from the template of server pods: whatever a user sets about those, such as
metadata for a mesh, pull secrets, a service account, placement, a proxy or a CA bundle, holds for
it as well. It runs without a GPU, and with requests and limits of its own, so that a ResourceQuota
takes it. The template of a Job is immutable: the Job has a digest of it, and is recreated when
another one is needed before the model was downloaded.

Pure.
"""

from flamingo_operator.api import names, quantity
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import projection
from flamingo_operator.manifests import common, overlay, pod_template
from flamingo_operator.manifests.common import Manifest, Release

NUM_RETRIES = 6
OFFLINE_VARIABLES = frozenset({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
"""Variables that users set for server pods and that must not apply to the Job."""
REQUESTS = {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "0"}
LIMITS = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "8Gi"}
"""Default resources: a compute quota counts requests and limits of all three. Ephemeral storage is
not requested for the reason that `container_resources` has."""
SERVER_VOLUMES = frozenset({"shared-memory", "keys"})
"""Volumes of server pods that a download does not need."""
SERVER_FIELDS = frozenset(
    {
        "containers",
        "readinessGates",
        "resourceClaims",
        "resources",
        "topologySpreadConstraints",
        "volumes",
    }
)
"""Fields of a server pod's spec that are about its GPU, about serving, or about several pods. Other
containers are left out, because with a sidecar the Job would never complete; init containers stay,
as they may prepare what the download needs, such as certificates."""
CONTAINER_FIELDS = ("image", "imagePullPolicy", "envFrom", "securityContext")
"""Fields of the server container that hold for the Job's as they are."""


def cache_manifests(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return the claim, unless it exists already, and the Job, if preload is set."""
    spec = deployment.spec
    claim = spec.cache.persistent_volume_claim
    claims = [_claim(deployment)] if claim is not None and claim.claim_name is None else []
    return [*claims, _job(deployment, release)] if spec.cache.preload else claims


def job_name(deployment: FlamingoDeployment) -> str:
    """Return the Job's name, which differs for another model, revision or volume."""
    name, spec = deployment.metadata.name, deployment.spec
    volume = pod_template.models_volume(name, spec)
    digest = projection.digest([spec.model.id, spec.model.revision, volume])
    return names.preload_job(name, digest[:10])


def _claim(deployment: FlamingoDeployment) -> Manifest:
    name, claim = deployment.metadata.name, deployment.spec.cache.persistent_volume_claim
    assert claim is not None
    metadata = common.metadata(deployment, names.cache_claim(name), "preload")
    if claim.retain:
        del metadata["ownerReferences"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {
            "accessModes": [claim.access_mode],
            "storageClassName": claim.storage_class_name,
            "resources": {"requests": {"storage": quantity.canonical(claim.size or 0)}},
        },
    }


def _job(deployment: FlamingoDeployment, release: Release) -> Manifest:
    template = common.without_empty(_template(deployment, release))
    metadata = common.metadata(deployment, job_name(deployment), "preload")
    metadata["annotations"] = {names.TEMPLATE_DIGEST: projection.digest(template)}
    # A pod that was evicted, or whose node was drained, does not count as a failed try.
    is_disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": NUM_RETRIES,
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": is_disrupted}],
            },
            "template": template,
        },
    }


def _template(deployment: FlamingoDeployment, release: Release) -> Manifest:
    server = pod_template.build_template(deployment, release)
    metadata: Manifest = {"labels": names.labels(deployment.metadata.name, "preload")}
    common.merge_metadata(metadata, server.get("metadata", {}))
    metadata.get("annotations", {}).pop(overlay.DEFAULT_CONTAINER, None)
    pod = server["spec"]
    (container,) = (one for one in pod["containers"] if one["name"] == "server")
    kept = {name: value for name, value in pod.items() if name not in SERVER_FIELDS}
    if "initContainers" in kept:
        kept["initContainers"] = [
            {**one, "volumeMounts": _without_server_volumes(one.get("volumeMounts", []))}
            for one in kept["initContainers"]
        ]
    spec = {
        **kept,
        # A failed pod stays, and shows why it failed.
        "restartPolicy": "Never",
        "containers": [_container(deployment, container)],
        "volumes": _without_server_volumes(pod["volumes"]),
    }
    return {"metadata": metadata, "spec": spec}


def _without_server_volumes(named: list[Manifest]) -> list[Manifest]:
    return [one for one in named if one["name"] not in SERVER_VOLUMES]


def _container(deployment: FlamingoDeployment, server: Manifest) -> Manifest:
    model = deployment.spec.model
    kept = {name: server[name] for name in CONTAINER_FIELDS if name in server}
    return {
        **kept,
        "name": "preload",
        "command": ["flamingo", "pull"],
        "args": [model.id, f"--revision={model.revision}"],
        # The Job needs variables for a mirror, a proxy and its certificates, too.
        "env": [one for one in server["env"] if one["name"] not in OFFLINE_VARIABLES],
        "resources": _resources(deployment),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _without_server_volumes(server["volumeMounts"]),
    }


def _resources(deployment: FlamingoDeployment) -> Manifest:
    """Return the user's requests and limits, and defaults that do not contradict them."""
    given = deployment.spec.cache.preload_resources
    requests, limits = dict(given.requests), dict(given.limits)
    for name, default in REQUESTS.items():
        upper = given.limits.get(name, default)
        requests.setdefault(name, min(default, upper, key=quantity.parse))
    for name, default in LIMITS.items():
        limits.setdefault(name, max(default, requests[name], key=quantity.parse))
    return {
        "requests": common.quantity_strings(requests),
        "limits": common.quantity_strings(limits),
    }
