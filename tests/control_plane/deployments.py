"""FlamingoDeployments, good and bad.

The types and the API server must agree on each of them: the unit tests use this table,
and so do the tests against a real API server.
"""

from dataclasses import dataclass, field
from typing import Any

INTERNAL = {"mode": "Internal", "minReplicas": 1, "maxReplicas": 4}
NIGHT = {"name": "night", "start": "22:00", "end": "06:00"}
KEYS = {"name": "api-keys", "key": "keys.yaml"}
CLAIM = {"size": "60Gi", "storageClassName": "fast-rwx"}


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
        "args": ["--max-concurrent-answers=64"],
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
    },
    "gpu": {
        "products": ["NVIDIA-L40S", "NVIDIA-A100-SXM4-80GB"],
        "minMemoryGiB": 40,
        "runtimeClassName": "nvidia",
        "nodeSelector": {"pool": "audio"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
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
    },
    "auth": {
        "keysSecretRef": {"name": "api-keys"},
        "observeKeySecretRef": {"name": "api-keys", "key": "observe"},
    },
    "pdb": {"maxUnavailable": 1},
    "topologySpreadConstraints": [
        {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ],
    "priorityClassName": "gpu-serving",
    "cost": {"gpuPerHour": "1.90", "currency": "EUR"},
    "mode": "Plan",
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
    Case("memory limits", {"server": {"resources": {"limits": {"memory": "64Gi"}}}}),
]

BROKEN_RULES = [
    Case(
        "a name of forty-one characters", name="x" * 41, errors=("must have at most 40 characters",)
    ),
    Case("a name with a dot", name="music.flamingo", errors=("lower-case letters, digits",)),
    Case("a name that begins with a digit", name="2music", errors=("begin with a letter",)),
    Case(
        "a name that is reserved for a Service",
        name="music-servers",
        errors=("must not end with -servers",),
    ),
    Case(
        "a minimum above the maximum",
        {"scaling": {"minReplicas": 3, "maxReplicas": 2}},
        errors=("scaling.minReplicas must not exceed scaling.maxReplicas",),
    ),
    Case(
        "no router that reports the demand",
        {"scaling": INTERNAL, "router": {"enabled": False}},
        errors=("scaling.mode Internal needs the routers",),
    ),
    Case(
        "a budget that lets no node drain",
        {"scaling": INTERNAL, "pdb": {"minAvailable": 4}},
        errors=("pdb.minAvailable must be less than scaling.maxReplicas",),
    ),
    Case(
        "a budget with both limits",
        {"pdb": {"minAvailable": 1, "maxUnavailable": 1}},
        errors=("exactly one of pdb.minAvailable and pdb.maxUnavailable",),
    ),
    Case("a budget without a limit", {"pdb": {}}, errors=("exactly one of pdb.minAvailable",)),
    Case(
        "a schedule without a limit",
        {"scaling": {**INTERNAL, "schedules": [NIGHT]}},
        errors=("at least one of minReplicas and maxReplicas must be set",),
    ),
    Case(
        "a schedule whose limits contradict each other",
        {"scaling": {**INTERNAL, "schedules": [{**NIGHT, "minReplicas": 3, "maxReplicas": 2}]}},
        errors=("minReplicas must not exceed maxReplicas",),
    ),
    Case(
        "a schedule above the maximum",
        {"scaling": {**INTERNAL, "schedules": [{**NIGHT, "minReplicas": 5}]}},
        errors=("minReplicas of a schedule must not exceed scaling.maxReplicas",),
    ),
    Case(
        "a flag that the operator sets",
        {"server": {"args": ["--port=1"]}},
        errors=("args must not contain --port, --host",),
    ),
    Case(
        "a reserved label",
        {"server": {"podMetadata": {"labels": {"flamingo.dev/serving": "true"}}}},
        errors=("labels must not contain flamingo.dev/* or app.kubernetes.io/*",),
    ),
    Case(
        "a reserved annotation",
        {"router": {"podMetadata": {"annotations": {"flamingo.dev/drain": "true"}}}},
        errors=("annotations must not contain flamingo.dev/* or app.kubernetes.io/*",),
    ),
    Case(
        "a key file that the operator sets",
        {"server": {"args": ["--key-file=/mine"]}},
        errors=("--grace-period-s, --key-file, which the operator sets",),
    ),
    Case(
        "a key file in place of a key",
        {"auth": {"keysSecretRef": KEYS, "observeKeySecretRef": KEYS}},
        errors=("auth.observeKeySecretRef must select another Secret entry",),
    ),
    Case(
        "a reserved variable",
        {"server": {"env": [{"name": "FLAMINGO_POD_PORT", "value": "1"}]}},
        errors=("env must not contain FLAMINGO_*",),
    ),
    Case(
        "a GPU among the limits",
        {"server": {"resources": {"limits": {"nvidia.com/gpu": 2}}}},
        errors=("resources.limits must not contain a GPU",),
    ),
    Case(
        "a rollout that cannot replace anything",
        {"rollout": {"maxSurge": 0}},
        errors=("rollout.maxSurge and rollout.maxUnavailable must not both be 0",),
    ),
    Case(
        "a drain that ends before it starts",
        {"drain": {"settleSeconds": 60, "deadlineSeconds": 60}},
        errors=("drain.settleSeconds must be less than drain.deadlineSeconds",),
    ),
    Case(
        "a claim that is not described",
        {"cache": {"type": "PersistentVolumeClaim"}},
        errors=("cache.persistentVolumeClaim must be set if cache.type is PersistentVolumeClaim",),
    ),
    Case(
        "a claim that is not used",
        {"cache": {"persistentVolumeClaim": CLAIM}},
        errors=("cache.persistentVolumeClaim must be set if cache.type is PersistentVolumeClaim",),
    ),
    Case(
        "a missing directory",
        {"cache": {"type": "HostPath"}},
        errors=("cache.hostPath must be set if cache.type is HostPath",),
    ),
    Case(
        "a preload without a claim",
        {"cache": {"preload": True}},
        errors=("cache.preload needs a PersistentVolumeClaim",),
    ),
    Case(
        "a claim both existing and new",
        {
            "cache": {
                "type": "PersistentVolumeClaim",
                "persistentVolumeClaim": {"claimName": "a", "size": "1Gi"},
            }
        },
        errors=("exactly one of claimName, for an existing claim, and size",),
    ),
    Case(
        "two rules at once",
        {"rollout": {"maxSurge": 0}, "cache": {"preload": True}},
        errors=("rollout.maxSurge and", "cache.preload needs"),
    ),
]

BAD_FIELDS = [
    Case("no model", {"model": {}}, errors=("spec.model.id",)),
    Case("a path for a model", {"model": {"id": "a/b/c"}}, errors=("spec.model.id",)),
    Case(
        "a commit that YAML read as a number",
        {"model": {"id": "a/b", "revision": 42798}},
        errors=("spec.model.revision",),
    ),
    Case("a field that does not exist", {"gpus": 2}, errors=("spec.gpus",)),
    Case("a number as text", {"replicas": "3"}, errors=("spec.replicas",)),
    Case("a negative number", {"replicas": -1}, errors=("spec.replicas",)),
    Case(
        "a mode that does not exist", {"scaling": {"mode": "Magic"}}, errors=("spec.scaling.mode",)
    ),
    Case(
        "a day that does not exist",
        {"scaling": {"schedules": [{**NIGHT, "minReplicas": 1, "days": ["Monday"]}]}},
        errors=("spec.scaling.schedules[0].days[0]",),
    ),
    Case(
        "a time without a leading zero",
        {"scaling": {"schedules": [{**NIGHT, "minReplicas": 1, "start": "8:30"}]}},
        errors=("spec.scaling.schedules[0].start",),
    ),
    Case("a price as a number", {"cost": {"gpuPerHour": 1.9}}, errors=("spec.cost.gpuPerHour",)),
    Case(
        "the same product twice", {"gpu": {"products": ["A", "A"]}}, errors=("spec.gpu.products",)
    ),
    Case(
        "the same variable twice",
        {"server": {"env": [{"name": "A"}, {"name": "A"}]}},
        errors=("spec.server.env",),
    ),
    Case(
        "keys without an observe key",
        {"auth": {"keysSecretRef": KEYS}},
        errors=("spec.auth.observeKeySecretRef",),
    ),
    Case(
        "a size without a number",
        {"server": {"sharedMemory": "much"}},
        errors=("spec.server.sharedMemory",),
    ),
    Case(
        "two errors at once",
        {"replicas": 501, "router": {"replicas": 0}},
        errors=("spec.replicas", "spec.router.replicas"),
    ),
]
BAD = BROKEN_RULES + BAD_FIELDS
