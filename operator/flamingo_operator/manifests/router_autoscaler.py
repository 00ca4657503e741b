"""Manifest of the HorizontalPodAutoscaler of the routers.

Pure.
"""

from typing import Any

from flamingo_operator.api import names
from flamingo_operator.api.autoscaling import RouterAutoscaling
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.manifests import common
from flamingo_operator.manifests.common import Manifest

DEFAULT_CPU_PERCENT = 80
"""Kubernetes' own default for an autoscaler without metrics."""


def manifests(deployment: FlamingoDeployment) -> list[Manifest]:
    """Return the autoscaler's manifest, if the spec has one."""
    autoscaling = deployment.spec.router.autoscaling
    if autoscaling is None:
        return []
    name = names.router(deployment.metadata.name)
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": autoscaling.min_replicas,
        "maxReplicas": autoscaling.max_replicas,
        "metrics": _metrics(autoscaling),
        "behavior": _as_written(autoscaling.behavior) if autoscaling.behavior else None,
    }
    return [
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": common.metadata(deployment, name, "router"),
            "spec": spec,
        }
    ]


def _metrics(autoscaling: RouterAutoscaling) -> list[Manifest]:
    percent = autoscaling.target_cpu_utilization_percentage
    if percent is None and not autoscaling.metrics:
        percent = DEFAULT_CPU_PERCENT
    target = {"type": "Utilization", "averageUtilization": percent}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    return [*([cpu] if percent else []), *(_as_written(one) for one in autoscaling.metrics)]


def _as_written(block: Any) -> Manifest:
    written: Manifest = block.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    return written
