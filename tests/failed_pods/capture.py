"""Print pods that failed on a real node, with their warnings, in the format of `pods.json`.

    kubectl get pods,events -o json | python tests/failed_pods/capture.py

They were created by hand on Kubernetes 1.37 (containerd, runc): a container that
exits, exceeds its memory limit or fills its volume, images and claims that do not
exist, and so on; the name of a pod says what is wrong with it.
"""

import json
import sys
from typing import Any

METADATA = ("name", "namespace", "labels", "creationTimestamp", "deletionTimestamp", "finalizers")
SPEC = ("nodeName", "nodeSelector", "containers")
EVENT = ("type", "reason", "message")


def selected_fields(body: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: body[key] for key in keys if key in body}


def captured(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return each pod and its warnings, by the pod's name."""
    events = [item for item in items if item["kind"] == "Event" and item["type"] == "Warning"]
    return {
        pod["metadata"]["name"]: {
            "pod": {
                "metadata": selected_fields(pod["metadata"], METADATA),
                "spec": selected_fields(pod["spec"], SPEC),
                "status": pod["status"],
            },
            "events": [
                selected_fields(event, EVENT)
                for event in events
                if event["involvedObject"]["name"] == pod["metadata"]["name"]
            ],
        }
        for pod in items
        if pod["kind"] == "Pod"
    }


if __name__ == "__main__":
    json.dump(captured(json.load(sys.stdin)["items"]), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
