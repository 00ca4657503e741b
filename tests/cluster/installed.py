"""The operator as it is installed: custom resource definition, rights, Deployment."""

from pathlib import Path
from typing import Any

import yaml
from cluster.nodes import Cluster

ROOT = Path(__file__).parents[2]
HOME = "flamingo-system"
NAME = "flamingo-operator"
OBSERVE = "observe"
"""The Secret with the operator's own API key, if there is one."""
LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": "operator"}
"""Servers let the component in."""
GROUP = "rbac.authorization.k8s.io"
ACCOUNT = {"kind": "ServiceAccount", "name": NAME, "namespace": HOME}
PATIENCE = "--timeout=120s"


def install(cluster: Cluster, images: dict[str, str]) -> None:
    """Install the operator for the whole cluster, and return when it leads."""
    cluster.output("apply", "--server-side", "-f", str(ROOT / "crds/flamingodeployments.yaml"))
    cluster.output("wait", "--for=condition=Established", PATIENCE, "crd", "--all")
    make_namespace(cluster, HOME)
    for body in (*_rights(), deployment(images)):
        apply(cluster, body)
    wait_rolled_out(cluster)


def apply(cluster: Cluster, body: dict[str, Any]) -> None:
    cluster.output("apply", "--server-side", "-f", "-", body=body)


def wait_rolled_out(cluster: Cluster) -> None:
    cluster.output("-n", HOME, "rollout", "status", f"deployment/{NAME}", PATIENCE)


def make_namespace(cluster: Cluster, name: str) -> None:
    """Make a namespace that lets only safe pods in."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.output("create", "-f", "-", body=body)


def _rights() -> list[dict[str, Any]]:
    rules = yaml.safe_load((ROOT / "operator/rbac.yaml").read_text())
    everywhere = rules["namespaceRules"] + rules["clusterRules"]
    own = {"name": NAME, "namespace": HOME}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": own},
        *_bound("Cluster", {"name": NAME}, everywhere),
        *_bound("", own, rules["ownNamespaceRules"]),
    ]


def _bound(scope: str, metadata: dict[str, str], rules: list[Any]) -> list[dict[str, Any]]:
    role = {"apiGroup": GROUP, "kind": f"{scope}Role", "name": NAME}
    common = {"apiVersion": f"{GROUP}/v1", "metadata": metadata}
    return [
        {**common, "kind": f"{scope}Role", "rules": rules},
        {**common, "kind": f"{scope}RoleBinding", "roleRef": role, "subjects": [ACCOUNT]},
    ]


def deployment(images: dict[str, str]) -> dict[str, Any]:
    """Return the operator's Deployment of two replicas."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": HOME},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": _pod(images)},
        },
    }


def _pod(images: dict[str, str]) -> dict[str, Any]:
    key = {"name": OBSERVE, "key": "key", "optional": True}
    container = {
        "name": "operator",
        "image": images["operator"],
        "args": [
            f"--server-image={images['pod']}",
            f"--router-image={images['router']}",
            f"--operator-namespace={HOME}",
        ],
        "env": [{"name": "FLAMINGO_OPERATOR_OBSERVE_KEY", "valueFrom": {"secretKeyRef": key}}],
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": "http"}},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": "http"}},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    return {
        "serviceAccountName": NAME,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
