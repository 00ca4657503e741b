"""FlamingoDeployments, good and bad.

The types and the API server must agree on each of them: the unit tests use this table,
and so do the tests against a real API server.
"""

from dataclasses import dataclass, field
from typing import Any

INTERNAL = {"mode": "Internal", "minReplicas": 1, "maxReplicas": 4}
NIGHT = {"name": "night", "start": "22:00", "end": "06:00"}
KEYS = {"name": "api-keys", "key": "keys.yaml"}
ZONES = {
    "topologyKey": "topology.kubernetes.io/zone",
    "maxSkew": 1,
    "whenUnsatisfiable": "ScheduleAnyway",
}
AWAY_FROM_SPOT = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}]}
            ]
        }
    }
}
CERTIFICATES = {
    "volumes": [{"name": "certificates", "configMap": {"name": "company-ca"}}],
    "volumeMounts": [{"name": "certificates", "mountPath": "/etc/ssl/company", "readOnly": True}],
}
OPEN_SHIFT = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CLAIM = {"size": "60Gi", "storageClassName": "fast-rwx"}

TARGET = {"type": "AverageValue", "averageValue": "500m"}
METRIC = {
    "name": "requests",
    "selector": {
        "matchLabels": {"route": "chat"},
        "matchExpressions": [{"key": "code", "operator": "In", "values": ["200"]}],
    },
}
UTILIZATION = {"type": "Utilization", "averageUtilization": 70}
MUSIC = {"apiVersion": "v1", "kind": "Service", "name": "music"}
RULES = {
    "stabilizationWindowSeconds": 60,
    "selectPolicy": "Min",
    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
}
AUTOSCALING = {
    "minReplicas": 1,
    "maxReplicas": 5,
    "targetCPUUtilizationPercentage": 60,
    "metrics": [
        {"type": "Resource", "resource": {"name": "memory", "target": UTILIZATION}},
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "container": "router", "target": UTILIZATION},
        },
        {"type": "Pods", "pods": {"metric": METRIC, "target": TARGET}},
        {
            "type": "Object",
            "object": {"describedObject": MUSIC, "metric": METRIC, "target": TARGET},
        },
        {"type": "External", "external": {"metric": METRIC, "target": TARGET}},
    ],
    "behavior": {"scaleUp": RULES, "scaleDown": {"selectPolicy": "Disabled"}},
}


def deployment(spec: dict[str, Any] | None = None, *, name: str = "music") -> dict[str, Any]:
    """Return a FlamingoDeployment; by default only the model is set."""
    return {
        "apiVersion": "flamingo.dev/v1alpha1",
        "kind": "FlamingoDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"id": "flamingo-tiny"}, **(spec or {})},
    }


@dataclass(frozen=True)
class Case:
    """A spec, and parts of the error message; none if it is valid."""

    id: str
    spec: dict[str, Any] = field(default_factory=dict)
    name: str = "music"
    errors: tuple[str, ...] = ()

    @property
    def body(self) -> dict[str, Any]:
        return deployment(self.spec, name=self.name)


FULL = {
    "model": {
        "id": "nvidia/music-flamingo-2601-hf",
        "revision": "0123456789abcdef0123456789abcdef01234567",
        "servedName": "music-flamingo",
        "dtype": "bfloat16",
        "maxAudioSeconds": 1200,
        "tokenSecretRef": {"name": "hf-token", "key": "token"},
    },
    "server": {
        "image": "ghcr.io/example/flamingo-pod:0.1.0",
        "imagePullSecrets": [{"name": "registry"}],
        "args": ["--max-concurrent-answers=64", "--model-impl=fused"],
        "envFrom": [{"configMapRef": {"name": "proxies"}}],
        "env": [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "resources": {"requests": {"cpu": 4, "memory": "32Gi"}, "limits": {"memory": "48Gi"}},
        "sharedMemory": "4Gi",
        "podMetadata": {
            "labels": {"kueue.x-k8s.io/queue-name": "audio"},
            "annotations": {"sidecar.istio.io/inject": "false"},
        },
        "startupDeadlineSeconds": 900,
        "runtimeClassName": "nvidia",
        "nodeSelector": {"pool": "audio"},
        "tolerations": [{"key": "audio", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "gpu-serving",
        "topologySpreadConstraints": [ZONES],
        "affinity": AWAY_FROM_SPOT,
        "schedulerName": "volcano",
        "serviceAccountName": "reader",
        "securityContext": OPEN_SHIFT,
        **CERTIFICATES,
        "pdb": {"maxUnavailable": 1},
    },
    "gpu": {
        "count": 1,
        "products": ["NVIDIA-L40S", "NVIDIA-A100-SXM4-80GB"],
        "minMemory": "40Gi",
    },
    "replicas": 1,
    "scaling": {
        "mode": "Internal",
        "minReplicas": 0,
        "maxReplicas": 8,
        "objective": {"queueWaitSeconds": 60, "utilizationPercent": 75},
        "scaleUp": {"stabilizationSeconds": 0, "maxStep": 4, "maxPending": 4},
        "scaleDown": {"stabilizationSeconds": 300, "maxStep": 1},
        "scaleToZero": {"idleSeconds": 900},
        "schedules": [
            {
                "name": "office",
                "timeZone": "Europe/Paris",
                "days": ["Mon", "Tue", "Wed", "Thu", "Fri"],
                "start": "08:00",
                "end": "20:00",
                "minReplicas": 2,
            }
        ],
        "onSignalLoss": "Hold",
    },
    "rollout": {"strategy": "Auto", "maxSurge": 1, "maxUnavailable": 0},
    "drain": {"settleSeconds": 5, "deadlineSeconds": 600},
    "cache": {"type": "PersistentVolumeClaim", "preload": True, "persistentVolumeClaim": CLAIM},
    "router": {
        "replicas": 2,
        "admission": {"maxQueuedAudioSeconds": 3600, "maxHoldSeconds": 600},
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"a.example/b": "c"}},
        "podMetadata": {"annotations": {"sidecar.istio.io/inject": "true"}},
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "priorityClassName": "routers",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "topologySpreadConstraints": [ZONES],
        "args": ["--log-level=debug", "--cors-origin=https://app.example"],
        "env": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
        "envFrom": [{"secretRef": {"name": "proxy"}}],
        "affinity": AWAY_FROM_SPOT,
        "schedulerName": "volcano",
        "serviceAccountName": "reader",
        "securityContext": OPEN_SHIFT,
        **CERTIFICATES,
        "pdb": {"minAvailable": "50%"},
    },
    "auth": {
        "keysSecretRef": {"name": "api-keys"},
        "observeKeySecretRef": {"name": "api-keys", "key": "observe"},
    },
    "cost": {"gpuPerHour": "1.90", "currency": "EUR"},
    "paused": True,
    "suspend": False,
}

GOOD = [
    Case("only the model"),
    Case("everything", FULL),
    Case("a name of forty characters", name="x" * 40),
    Case(
        "a cheap night, in the default time zone",
        {"scaling": {**INTERNAL, "schedules": [{**NIGHT, "maxReplicas": 1}]}},
    ),
    Case("no router, in mode External", {"router": {"enabled": False}}),
    Case("a server pod in reserve", {"scaling": {**INTERNAL, "reserve": 1}}),
    Case("a share in reserve", {"scaling": {**INTERNAL, "reserve": "25%"}}),
    Case("routers by their CPU usage", {"router": {"autoscaling": {"maxReplicas": 5}}}),
    Case("routers by all kinds of metrics", {"router": {"autoscaling": AUTOSCALING}}),
    Case("down to zero behind a router", {"scaling": {**INTERNAL, "minReplicas": 0}}),
    Case("recreate with no surge", {"rollout": {"strategy": "Recreate", "maxSurge": 0}}),
    Case(
        "a directory of the node", {"cache": {"type": "HostPath", "hostPath": {"path": "/models"}}}
    ),
    Case("a MIG slice", {"gpu": {"resourceName": "nvidia.com/mig-3g.40gb"}}),
    Case(
        "keys in two Secrets",
        {"auth": {"keysSecretRef": KEYS, "observeKeySecretRef": {"name": "observe"}}},
    ),
    Case("no GPU", {"gpu": {"count": 0}}),
    Case(
        "a GPU by dynamic resource allocation",
        {"gpu": {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]}},
    ),
    Case("a budget in percent", {"server": {"pdb": {"maxUnavailable": "25%"}}}),
    Case(
        "a budget in percent, in mode Internal",
        {"scaling": INTERNAL, "server": {"pdb": {"minAvailable": "75%"}}},
    ),
    Case(
        "requests that equal the limits, in other units",
        {"router": {"resources": {"requests": {"memory": "1024Mi"}, "limits": {"memory": "1Gi"}}}},
    ),
    Case("a flag that begins like one of the operator's", {"server": {"args": ["--model-impl=x"]}}),
    Case("memory limits", {"server": {"resources": {"limits": {"memory": "64Gi"}}}}),
]


FAILED_SERVER = {
    "name": "server",
    "image": "example.com/pod:1",
    "imageID": "",
    "ready": False,
    "restartCount": 2,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
}
"""The status of a server's container that failed twice, without how it ended."""
