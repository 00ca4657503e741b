"""Manifest of the PodMonitor, by which Prometheus finds server and router pods.

Pure.
"""

from flamingo_operator.api import names
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import auth_volumes, common
from flamingo_operator.manifests.common import Manifest

NAME_LABEL = {
    "action": "replace",
    "sourceLabels": ["__meta_kubernetes_pod_label_flamingo_dev_deployment"],
    "targetLabel": "name",
}
"""Gives the metrics of pods the label that the operator's have: dashboards and alerts match both
by `namespace` and `name`, whatever `podTargetLabels` are."""


def pod_monitors(deployment: FlamingoDeployment) -> list[Manifest]:
    """Return the PodMonitor, if it is enabled."""
    settings, name = deployment.spec.monitoring.pod_monitor, deployment.metadata.name
    if not settings.enabled:
        return []
    endpoint = {
        "port": "http",
        "path": "/metrics",
        "interval": settings.interval,
        "scrapeTimeout": settings.scrape_timeout,
        "relabelings": [NAME_LABEL],
        **auth_volumes.pod_monitor_authorization(deployment.spec.auth),
    }
    metadata = common.metadata(deployment, name, "server")
    common.merge_metadata(metadata, common.added_metadata(settings))
    manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": {names.DEPLOYMENT_LABEL: name}},
            "podTargetLabels": list(settings.pod_target_labels),
            "podMetricsEndpoints": [endpoint],
        },
    }
    return [manifest]
