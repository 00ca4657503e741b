"""FlamingoDeployments, good and bad.

The types and the API server must agree on each: the unit tests read this table,
and so do the tests against a real API server.
"""

from dataclasses import dataclass, field
from typing import Any

INTERNAL = {"mode": "Internal", "minReplicas": 1, "maxReplicas": 4}
NIGHT = {"name": "night", "start": "22:00", "end": "06:00"}
KEYS = {"name": "api-keys", "key": "keys.yaml"}
CLAIM = {"size": "60Gi", "storageClassName": "fast-rwx"}


def deployment(spec: dict[str, Any] | None = None, *, name: str = "music") -> dict[str, Any]:
    """Return a FlamingoDeployment; only its model is given."""
    return {
        "apiVersion": "flamingo.dev/v1alpha1",
        "kind": "FlamingoDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": {"id": "flamingo-tiny"}, **(spec or {})},
    }


@dataclass(frozen=True)
class Case:
    """A spec, and what its refusal says; nothing if it is none."""

    id: str
    spec: dict[str, Any] = field(default_factory=dict)
    name: str = "music"
    says: tuple[str, ...] = ()

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
    Case("no router, scaled from outside", {"router": {"enabled": False}}),
    Case("down to zero behind a router", {"scaling": {**INTERNAL, "minReplicas": 0}}),
    Case("recreate with no surge", {"rollout": {"strategy": "Recreate", "maxSurge": 0}}),
    Case("a node's folder", {"cache": {"type": "HostPath", "hostPath": {"path": "/models"}}}),
    Case("a MIG slice", {"gpu": {"resourceName": "nvidia.com/mig-3g.40gb"}}),
    Case(
        "keys in two Secrets",
        {"auth": {"keysSecretRef": KEYS, "observeKeySecretRef": {"name": "observe"}}},
    ),
    Case("memory limits", {"server": {"resources": {"limits": {"memory": "64Gi"}}}}),
]

BROKEN_RULES = [
    Case("a name of forty-one characters", name="x" * 41, says=("at most 40 characters",)),
    Case("a name with a dot", name="music.flamingo", says=("lower-case letters, digits",)),
    Case("a name that begins with a digit", name="2music", says=("begins with a letter",)),
    Case("the name of another's Service", name="music-servers", says=("does not end in -servers",)),
    Case(
        "fewest above most",
        {"scaling": {"minReplicas": 3, "maxReplicas": 2}},
        says=("raise scaling.maxReplicas to at least scaling.minReplicas",),
    ),
    Case(
        "no signal to scale on",
        {"scaling": INTERNAL, "router": {"enabled": False}},
        says=("set router.enabled to true, or scaling.mode to External",),
    ),
    Case(
        "a budget that lets no node drain",
        {"scaling": INTERNAL, "pdb": {"minAvailable": 4}},
        says=("set pdb.minAvailable below scaling.maxReplicas",),
    ),
    Case(
        "a budget that says both",
        {"pdb": {"minAvailable": 1, "maxUnavailable": 1}},
        says=("give one of pdb.minAvailable and pdb.maxUnavailable",),
    ),
    Case("a budget that says nothing", {"pdb": {}}, says=("give one of pdb.minAvailable",)),
    Case(
        "a schedule that says nothing",
        {"scaling": {**INTERNAL, "schedules": [NIGHT]}},
        says=("give minReplicas, maxReplicas or both",),
    ),
    Case(
        "a schedule whose bounds contradict each other",
        {"scaling": {**INTERNAL, "schedules": [{**NIGHT, "minReplicas": 3, "maxReplicas": 2}]}},
        says=("raise maxReplicas to at least minReplicas",),
    ),
    Case(
        "a schedule above the most",
        {"scaling": {**INTERNAL, "schedules": [{**NIGHT, "minReplicas": 5}]}},
        says=("raise scaling.maxReplicas to at least each schedule's minReplicas",),
    ),
    Case(
        "the operator's own flag",
        {"server": {"args": ["--port=1"]}},
        says=("remove --port, --host",),
    ),
    Case(
        "the operator's own label",
        {"server": {"podMetadata": {"labels": {"flamingo.dev/serving": "true"}}}},
        says=("remove flamingo.dev/* and app.kubernetes.io/* from labels",),
    ),
    Case(
        "the operator's own annotation",
        {"router": {"podMetadata": {"annotations": {"flamingo.dev/drain": "true"}}}},
        says=("remove flamingo.dev/* and app.kubernetes.io/* from annotations",),
    ),
    Case(
        "the operator's own key file",
        {"server": {"args": ["--key-file=/mine"]}},
        says=("--grace-period-s, --key-file from args",),
    ),
    Case(
        "a key file for a key",
        {"auth": {"keysSecretRef": KEYS, "observeKeySecretRef": KEYS}},
        says=("name another entry in auth.observeKeySecretRef",),
    ),
    Case(
        "the operator's own variable",
        {"server": {"env": [{"name": "FLAMINGO_POD_PORT", "value": "1"}]}},
        says=("remove FLAMINGO_* from env",),
    ),
    Case(
        "a GPU among the limits",
        {"server": {"resources": {"limits": {"nvidia.com/gpu": 2}}}},
        says=("set the GPU in spec.gpu",),
    ),
    Case(
        "a rollout that can replace nothing",
        {"rollout": {"maxSurge": 0}},
        says=("set rollout.maxSurge or rollout.maxUnavailable to at least 1",),
    ),
    Case(
        "a drain that ends before it starts",
        {"drain": {"settleSeconds": 60, "deadlineSeconds": 60}},
        says=("raise drain.deadlineSeconds above drain.settleSeconds",),
    ),
    Case(
        "a claim that is not described",
        {"cache": {"type": "PersistentVolumeClaim"}},
        says=("give cache.persistentVolumeClaim with cache.type",),
    ),
    Case(
        "a claim that is not used",
        {"cache": {"persistentVolumeClaim": CLAIM}},
        says=("give cache.persistentVolumeClaim with cache.type",),
    ),
    Case(
        "a folder that is not named", {"cache": {"type": "HostPath"}}, says=("give cache.hostPath",)
    ),
    Case(
        "a preload into nothing",
        {"cache": {"preload": True}},
        says=("set cache.type to PersistentVolumeClaim, or cache.preload to false",),
    ),
    Case(
        "a claim both old and new",
        {
            "cache": {
                "type": "PersistentVolumeClaim",
                "persistentVolumeClaim": {"claimName": "a", "size": "1Gi"},
            }
        },
        says=("give either claimName, an existing claim, or size",),
    ),
    Case(
        "two rules at once",
        {"rollout": {"maxSurge": 0}, "cache": {"preload": True}},
        says=("set rollout.maxSurge", "set cache.type"),
    ),
]

BAD_FIELDS = [
    Case("no model", {"model": {}}, says=("spec.model.id",)),
    Case("a path for a model", {"model": {"id": "a/b/c"}}, says=("spec.model.id",)),
    Case(
        "a commit that YAML read as a number",
        {"model": {"id": "a/b", "revision": 42798}},
        says=("spec.model.revision",),
    ),
    Case("a field that does not exist", {"gpus": 2}, says=("spec.gpus",)),
    Case("a number as text", {"replicas": "3"}, says=("spec.replicas",)),
    Case("fewer than none", {"replicas": -1}, says=("spec.replicas",)),
    Case("a mode that does not exist", {"scaling": {"mode": "Magic"}}, says=("spec.scaling.mode",)),
    Case(
        "a day that does not exist",
        {"scaling": {"schedules": [{**NIGHT, "minReplicas": 1, "days": ["Monday"]}]}},
        says=("spec.scaling.schedules[0].days[0]",),
    ),
    Case(
        "half past eight in words",
        {"scaling": {"schedules": [{**NIGHT, "minReplicas": 1, "start": "8:30"}]}},
        says=("spec.scaling.schedules[0].start",),
    ),
    Case("a price as a number", {"cost": {"gpuPerHour": 1.9}}, says=("spec.cost.gpuPerHour",)),
    Case("the same product twice", {"gpu": {"products": ["A", "A"]}}, says=("spec.gpu.products",)),
    Case(
        "the same variable twice",
        {"server": {"env": [{"name": "A"}, {"name": "A"}]}},
        says=("spec.server.env",),
    ),
    Case(
        "keys that no router may observe with",
        {"auth": {"keysSecretRef": KEYS}},
        says=("spec.auth.observeKeySecretRef",),
    ),
    Case("no size", {"server": {"sharedMemory": "much"}}, says=("spec.server.sharedMemory",)),
    Case(
        "two faults at once",
        {"replicas": 501, "router": {"replicas": 0}},
        says=("spec.replicas", "spec.router.replicas"),
    ),
]
BAD = BROKEN_RULES + BAD_FIELDS
