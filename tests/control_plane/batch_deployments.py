"""FlamingoDeployments, good and bad, with batches; see `deployments`."""

from control_plane.deployments import AWAY_FROM_SPOT, CERTIFICATES, KEYS, OPEN_SHIFT, ZONES, Case

STORAGE = {"size": "20Gi"}
DATABASE = {"secretRef": {"name": "batches-database"}}
BUCKET = {"url": "s3://music/batches", "secretRef": {"name": "bucket"}}
SHARED = {"database": DATABASE, "contents": BUCKET}
AUTH = {
    "keysSecretRef": KEYS,
    "observeKeySecretRef": {"name": "api-keys"},
    "batchesKeySecretRef": {"name": "api-keys"},
}
PROXY = {"name": "sql-proxy", "image": "registry.example/sql-proxy:2", "restartPolicy": "Always"}
EVERYTHING = {
    **SHARED,
    "replicas": 3,
    "limits": {
        "maxFileSize": "100Mi",
        "maxStoredSizePerKey": "5Gi",
        "maxActiveBatchesPerKey": 7,
        "maxRunningBatches": 4,
        "maxConcurrency": 16,
    },
    "image": "registry.example/audio/batches:0.1.0",
    "imagePullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "args": ["--log-level=debug", "--clip-source=s3://music/clips/"],
    "env": [{"name": "AWS_REGION", "value": "eu-west-1"}],
    "envFrom": [{"configMapRef": {"name": "proxies"}}],
    "resources": {"requests": {"cpu": "1000m"}, "limits": {"memory": "4Gi"}},
    "podMetadata": {"annotations": {"sidecar.istio.io/inject": "true"}},
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "affinity": AWAY_FROM_SPOT,
    "topologySpreadConstraints": [ZONES],
    "priorityClassName": "batches",
    "schedulerName": "volcano",
    "serviceAccountName": "bucket-reader",
    "securityContext": OPEN_SHIFT,
    **CERTIFICATES,
    "pdb": {"minAvailable": "50%"},
    "podTemplate": {"spec": {"initContainers": [PROXY]}},
}

BATCH_GOOD = [
    Case("batches in SQLite on a claim", {"batches": {"storage": STORAGE}}),
    Case("batches in a database and a bucket", {"batches": {"replicas": 3, **SHARED}}),
    Case(
        "a database, and contents on a claim",
        {"batches": {"database": DATABASE, "storage": {**STORAGE, "retain": False}}},
    ),
    Case("a bucket, and SQLite on a claim", {"batches": {"contents": BUCKET, "storage": STORAGE}}),
    Case("batches with API keys", {"batches": {"storage": STORAGE}, "auth": AUTH}),
    Case("everything about batches", {"batches": EVERYTHING}),
]

BATCH_BROKEN_RULES = [
    Case(
        "two replicas on one claim",
        {"batches": {"replicas": 2, "storage": STORAGE}},
        errors=("batches.replicas above 1 needs batches.database and batches.contents",),
    ),
    Case(
        "two replicas with a database and no bucket",
        {"batches": {"replicas": 2, "database": DATABASE, "storage": STORAGE}},
        errors=("batches.replicas above 1 needs batches.database and batches.contents",),
    ),
    Case(
        "batches without any storage",
        {"batches": {}},
        errors=("batches.storage must be set unless both batches.database and",),
    ),
    Case(
        "a claim beside a database and a bucket",
        {"batches": {"storage": STORAGE, **SHARED}},
        errors=("batches.storage must be set unless both batches.database and",),
    ),
    Case(
        "batches without routers",
        {"batches": {"storage": STORAGE}, "router": {"enabled": False}},
        errors=("batches need the routers",),
    ),
    Case(
        "batches without an API key for the routers",
        {
            "batches": {"storage": STORAGE},
            "auth": {"keysSecretRef": KEYS, "observeKeySecretRef": {"name": "api-keys"}},
        },
        errors=("batches need auth.batchesKeySecretRef",),
    ),
    Case(
        "a key file in place of the key of batches",
        {"auth": {**AUTH, "batchesKeySecretRef": KEYS}},
        errors=("auth.batchesKeySecretRef must select another Secret entry",),
    ),
    Case(
        "batches with 20 bytes",
        {"batches": {"storage": {"size": 20}}},
        errors=("size must be at least 1Mi",),
    ),
    Case(
        "a flag of batches that the operator sets",
        {"batches": {"storage": STORAGE, "args": ["--contents-url=s3://a"]}},
        errors=("batches.args must not contain --port, --host",),
    ),
    Case(
        "a flag of routers that batches are for",
        {"router": {"args": ["--batches-url=http://a"]}},
        errors=("router.args must not contain --port, --host",),
    ),
    Case(
        "a variable of batches that the operator sets",
        {"batches": {"storage": STORAGE, "env": [{"name": "FLAMINGO_BATCHES_PORT"}]}},
        errors=("batches.env must not contain FLAMINGO_*",),
    ),
    Case(
        "a mount in place of the data of batches",
        {
            "batches": {
                "storage": STORAGE,
                "volumes": [{"name": "own", "emptyDir": {}}],
                "volumeMounts": [{"name": "own", "mountPath": "/data"}],
            }
        },
        errors=("batches.volumeMounts must not mount /data, /tmp, /keys",),
    ),
    Case(
        "a GPU for batches",
        {"batches": {"storage": STORAGE, "resources": {"limits": {"nvidia.com/gpu": 1}}}},
        errors=("batches.resources.limits must not contain a GPU",),
    ),
    Case(
        "an alias with the name of the Service of batches",
        {"router": {"service": {"alias": "audio-batches"}}},
        name="audio",
        errors=("router.service.alias must differ from the names",),
    ),
]
BATCH_BAD_FIELDS = [
    Case(
        "a bucket of another kind",
        {"batches": {"contents": {"url": "ftp://a"}, "storage": STORAGE}},
        errors=("spec.batches.contents.url",),
    ),
    Case(
        "no replica of batches",
        {"batches": {"storage": STORAGE, "replicas": 0}},
        errors=("spec.batches.replicas",),
    ),
    Case(
        "a volume without a name",
        {"batches": {"storage": STORAGE, "volumes": [{"emptyDir": {}}]}},
        errors=("spec.batches.volumes[0].name",),
    ),
]
BATCH_BAD = BATCH_BROKEN_RULES + BATCH_BAD_FIELDS
BATCH_UNSEEN = [
    Case(
        "a toleration with an unknown field",
        {"batches": {"storage": STORAGE, "tolerations": [{"kye": "a"}]}},
        errors=("spec.batches.tolerations[0].kye: unknown field",),
    ),
    Case(
        "an overlay that replaces the program",
        {
            "batches": {
                "storage": STORAGE,
                "podTemplate": {"spec": {"containers": [{"name": "batches", "image": "a"}]}},
            }
        },
        errors=("the container batches must not have args, command, image",),
    ),
    Case(
        "an overlay with a variable that the operator sets",
        {
            "batches": {
                "storage": STORAGE,
                "podTemplate": {
                    "spec": {
                        "containers": [
                            {"name": "batches", "env": [{"name": "FLAMINGO_BATCHES_HOST"}]}
                        ]
                    }
                },
            }
        },
        errors=("env of the container batches must not contain FLAMINGO_*",),
    ),
]
"""What only the operator and the plugin refuse, because the CRD has an outline of the field."""
