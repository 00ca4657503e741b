"""HorizontalPodAutoscalers for tests."""

from typing import Any


def external_metric(name: str, average: str) -> dict[str, Any]:
    """Return an external metric whose value is divided by the number of pods."""
    target = {"type": "AverageValue", "averageValue": average}
    return {"type": "External", "external": {"metric": {"name": name}, "target": target}}


def autoscaler(target: dict[str, Any], metric: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return an autoscaler that does not wait before it removes pods."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": target["name"]},
        "spec": {
            "scaleTargetRef": target,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            **spec,
        },
    }
