"""The PersistentVolumeClaim for the model's files, and the Job that downloads them once.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment, Spec
from flamingo_operator.cluster import projection
from flamingo_operator.manifests import common, pod_template
from flamingo_operator.manifests.common import Manifest, Release

NUM_RETRIES = 6
OFFLINE_VARIABLES = frozenset({"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
"""Variables that users set for server pods and that must not apply to the Job."""


def cache_manifests(deployment: FlamingoDeployment, release: Release) -> list[Manifest]:
    """Return the claim, unless it exists already, and the Job, if preload is set."""
    spec = deployment.spec
    claim = spec.cache.persistent_volume_claim
    claims = [_claim(deployment)] if claim is not None and claim.claim_name is None else []
    return [*claims, _job(deployment, release)] if spec.cache.preload else claims


def job_name(deployment: FlamingoDeployment) -> str:
    """Return the Job's name, which differs for another model, revision or cache."""
    spec = deployment.spec
    digest = projection.digest([spec.model.id, spec.model.revision, spec.cache.model_dump()])
    return names.preload_job(deployment.metadata.name, digest[:10])


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
            "resources": {"requests": {"storage": claim.size}},
        },
    }


def _job(deployment: FlamingoDeployment, release: Release) -> Manifest:
    metadata = common.metadata(deployment, job_name(deployment), "preload")
    pod_metadata = {"labels": names.labels(deployment.metadata.name, "preload")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "backoffLimit": NUM_RETRIES,
            "template": {
                "metadata": pod_metadata,
                "spec": _pod_spec(deployment.metadata.name, deployment.spec, release),
            },
        },
    }


def _pod_spec(name: str, spec: Spec, release: Release) -> Manifest:
    # Placed like server pods, so that a claim that is bound to one node is bound to one with a GPU.
    return {
        "restartPolicy": "OnFailure",
        "serviceAccountName": f"{name}-{pod_template.SERVICE_ACCOUNT}",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": common.pod_security(),
        "imagePullSecrets": [{"name": one.name} for one in spec.server.image_pull_secrets],
        **pod_template.placement(spec),
        "containers": [_container(spec, release)],
        "volumes": [
            {"name": "models", **pod_template.models_volume(name, spec)},
            {"name": "scratch", "emptyDir": {}},
        ],
    }


def _container(spec: Spec, release: Release) -> Manifest:
    return {
        "name": "preload",
        "image": spec.server.image or release.server_image,
        "imagePullPolicy": spec.server.image_pull_policy,
        "command": ["flamingo", "pull"],
        "args": [spec.model.id, f"--revision={spec.model.revision}"],
        # The Job needs variables for a mirror, a proxy and its certificates, too.
        "env": [
            one for one in pod_template.server_env(spec) if one["name"] not in OFFLINE_VARIABLES
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": common.container_security(),
        "volumeMounts": [
            {"name": "models", "mountPath": pod_template.MODEL_FOLDER},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }
