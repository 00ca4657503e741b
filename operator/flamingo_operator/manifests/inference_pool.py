"""Manifest of the InferencePool, by which a Gateway's endpoint picker finds the server pods.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import common
from flamingo_operator.manifests.common import Manifest


def inference_pools(deployment: FlamingoDeployment) -> list[Manifest]:
    """Return the InferencePool, if the spec asks for one."""
    settings, name = deployment.spec.inference_pool, deployment.metadata.name
    if settings is None:
        return []
    metadata = common.metadata(deployment, name, "server")
    common.merge_metadata(metadata, common.added_metadata(settings))
    picker = settings.endpoint_picker_ref
    manifest = {
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": metadata,
        "spec": {
            # A draining pod gets no new requests here, either.
            "selector": {
                "matchLabels": names.selector(name, "server") | {names.SERVING_LABEL: "true"}
            },
            "targetPorts": [{"number": common.PORT}],
            "appProtocol": "http",
            "endpointPickerRef": {
                "group": "",
                "kind": "Service",
                "name": picker.name,
                "port": {"number": picker.port.number},
                "failureMode": picker.failure_mode,
            },
        },
    }
    return [manifest]
