"""FlamingoDeployments that are refused, and why."""

from control_plane.deployments import CERTIFICATES, CLAIM, INTERNAL, KEYS, NIGHT, Case

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
        "routers whose number is set twice",
        {"router": {"replicas": 2, "autoscaling": {"maxReplicas": 5}}},
        errors=("router.replicas and router.autoscaling must not both be set",),
    ),
    Case(
        "fewer routers at most than at least",
        {"router": {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}},
        errors=("minReplicas must not exceed maxReplicas",),
    ),
    Case(
        "a metric whose block does not match its type",
        {"router": {"autoscaling": {"maxReplicas": 2, "metrics": [{"type": "Pods"}]}}},
        errors=("exactly the block of the metric's type must be set",),
    ),
    Case(
        "a budget that lets no node drain",
        {"scaling": INTERNAL, "server": {"pdb": {"minAvailable": 4}}},
        errors=("server.pdb.minAvailable must be less than scaling.maxReplicas",),
    ),
    Case(
        "a budget with both limits",
        {"server": {"pdb": {"minAvailable": 1, "maxUnavailable": 1}}},
        errors=("exactly one of pdb.minAvailable and pdb.maxUnavailable",),
    ),
    Case(
        "a budget without a limit",
        {"router": {"pdb": {}}},
        errors=("exactly one of pdb.minAvailable",),
    ),
    Case(
        "a budget in percent that lets no node drain",
        {"scaling": INTERNAL, "server": {"pdb": {"minAvailable": "100%"}}},
        errors=("server.pdb.minAvailable must be less than scaling.maxReplicas",),
    ),
    Case(
        "a shared memory of two bytes",
        {"server": {"sharedMemory": 2}},
        errors=("server.sharedMemory must be at least 1Mi",),
    ),
    Case(
        "a claim of 60 bytes",
        {
            "cache": {
                "type": "PersistentVolumeClaim",
                "persistentVolumeClaim": {"size": 60},
            }
        },
        errors=("size must be at least 1Mi",),
    ),
    Case(
        "a product without a GPU",
        {"gpu": {"count": 0, "products": ["NVIDIA-L40S"]}},
        errors=("gpu.products, gpu.minMemory and gpu.resourceClaims select a GPU",),
    ),
    Case(
        "a claim for devices that names neither a claim nor a template",
        {"gpu": {"resourceClaims": [{"name": "gpu"}]}},
        errors=("exactly one of resourceClaimName",),
    ),
    Case(
        "a memory of 40 bytes",
        {"gpu": {"minMemory": 40}},
        errors=("gpu.minMemory must be at least 1Gi",),
    ),
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
        errors=("server.args must not contain --port, --host",),
    ),
    Case(
        "a flag of a router that the operator sets, with its value apart",
        {"router": {"args": ["--quota-share", "1"]}},
        errors=("router.args must not contain --port, --host",),
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
        errors=("server.env must not contain FLAMINGO_*",),
    ),
    Case(
        "a reserved variable of a router",
        {"router": {"env": [{"name": "FLAMINGO_ROUTER_PORT", "value": "1"}]}},
        errors=("router.env must not contain FLAMINGO_* variables, which the operator sets: use",),
    ),
    Case(
        "a variable that would bypass the cache",
        {"server": {"env": [{"name": "HF_HOME", "value": "/own"}]}},
        errors=("use spec.cache instead",),
    ),
    Case(
        "a token beside that of the model",
        {"server": {"env": [{"name": "HF_TOKEN", "value": "hf_x"}]}},
        errors=("use model.tokenSecretRef instead",),
    ),
    Case(
        "all GPUs of the node",
        {"server": {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}},
        errors=("use spec.gpu instead",),
    ),
    Case(
        "a volume with the name of one of the operator's",
        {"server": {"volumes": [{"name": "models", "emptyDir": {}}]}},
        errors=("server.volumes must not contain models, shared-memory, scratch, keys",),
    ),
    Case(
        "a mount in place of the operator's",
        {
            "router": {
                "volumes": [{"name": "own", "emptyDir": {}}],
                "volumeMounts": [{"name": "own", "mountPath": "/spool/"}],
            }
        },
        errors=("router.volumeMounts must not mount /tmp, /spool, /keys",),
    ),
    Case(
        "a mount of a volume that is missing",
        {"router": {"volumeMounts": [{"name": "own", "mountPath": "/own"}]}},
        errors=("each name in router.volumeMounts must be the name of a volume",),
    ),
    Case(
        "a GPU among the limits",
        {"server": {"resources": {"limits": {"nvidia.com/gpu": 2}}}},
        errors=("server.resources.limits must not contain a GPU: remove it; gpu.count",),
    ),
    Case(
        "a slice of a GPU among the requests",
        {"server": {"resources": {"requests": {"nvidia.com/mig-3g.40gb": 1}}}},
        errors=("server.resources.requests must not contain a GPU",),
    ),
    Case(
        "a GPU for a router",
        {"router": {"resources": {"requests": {"nvidia.com/gpu.shared": 1}}}},
        errors=("router.resources.requests must not contain a GPU: remove it; a router needs",),
    ),
    Case(
        "the accelerator of another device plugin twice",
        {
            "gpu": {"resourceName": "example.com/accelerator"},
            "server": {"resources": {"requests": {"example.com/accelerator": 1}}},
        },
        errors=("server.resources must not contain gpu.resourceName",),
    ),
    Case(
        "a request above the limit",
        {"router": {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "500m"}}}},
        errors=("resources.requests must not exceed resources.limits",),
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
    Case("a negative size", {"server": {"sharedMemory": -1}}, errors=("spec.server.sharedMemory",)),
    Case("two GPUs", {"gpu": {"count": 2}}, errors=("spec.gpu.count",)),
    Case(
        "a quantity in words",
        {"router": {"resources": {"requests": {"cpu": "lots"}}}},
        errors=("spec.router.resources.requests.cpu",),
    ),
    Case(
        "a percentage above a hundred",
        {"router": {"pdb": {"maxUnavailable": "101%"}}},
        errors=("spec.router.pdb.maxUnavailable",),
    ),
    Case(
        "the same volume twice",
        {"router": {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}},
        errors=("spec.router.volumes",),
    ),
    Case(
        "two mounts at one path",
        {
            "server": {
                **CERTIFICATES,
                "volumeMounts": [{"name": "certificates", "mountPath": "/x"}] * 2,
            }
        },
        errors=("spec.server.volumeMounts",),
    ),
    Case(
        "a volume without a name",
        {"server": {"volumes": [{"emptyDir": {}}]}},
        errors=("spec.server.volumes[0].name",),
    ),
    Case(
        "the same Secret twice",
        {"router": {"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}},
        errors=("spec.router.imagePullSecrets",),
    ),
    Case(
        "two errors at once",
        {"replicas": 501, "router": {"replicas": 0}},
        errors=("spec.replicas", "spec.router.replicas"),
    ),
]
BAD = BROKEN_RULES + BAD_FIELDS
