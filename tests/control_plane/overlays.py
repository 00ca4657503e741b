"""Overlays of pod templates, good and bad.

The types and the API server must agree on each of them.
"""

from typing import Any

from control_plane.deployments import Case


def _case(id_: str, block: str, spec: dict[str, Any], *errors: str) -> Case:
    """Return a deployment with an overlay of the pods of a block."""
    return Case(id_, {block: {"podTemplate": {"spec": spec}}}, errors=errors)


def _container(block: str = "server", **fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": block, **fields}]}


def _metadata(kind: str, entries: dict[str, str], *errors: str) -> Case:
    overlay = {"podTemplate": {"metadata": {kind: entries}}}
    return Case(f"metadata.{kind}: {entries}", {"server": overlay}, errors=errors)


PROXY = {
    "name": "proxy",
    "image": "proxy:1",
    "args": ["--upstream=http://127.0.0.1:8000"],
    "ports": [{"containerPort": 8443, "name": "https", "protocol": "TCP"}],
    "readinessProbe": {"httpGet": {"port": "https", "scheme": "HTTPS"}},
    "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "128Mi"}},
    "volumeMounts": [{"name": "certificates", "mountPath": "/certificates", "readOnly": True}],
}
CERTIFICATES = {"name": "certificates", "secret": {"secretName": "certificates"}}

GOOD = [
    _case("a sidecar", "router", {"containers": [PROXY], "volumes": [CERTIFICATES]}),
    _case(
        "a sidecar that starts before the server",
        "server",
        {
            "initContainers": [
                {**PROXY, "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 8443}}}
            ],
            "volumes": [CERTIFICATES],
        },
    ),
    _case(
        "a folder of another kind",
        "server",
        {"volumes": [{"name": "scratch", "hostPath": {"path": "/fast"}}]},
    ),
    _case(
        "more of our own container",
        "server",
        _container(
            env=[{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            envFrom=[{"configMapRef": {"name": "proxy"}}],
            resources={"limits": {"memory": "64Gi"}},
            securityContext={"readOnlyRootFilesystem": False},
            volumeMounts=[{"name": "scratch", "mountPath": "/data"}],
            workingDir="/data",
        ),
    ),
    _case(
        "fields of the pod",
        "server",
        {
            "automountServiceAccountToken": True,
            "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
            "dnsPolicy": "Default",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["hub"]}],
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"pool": "audio"},
            "priorityClassName": "high",
            "runtimeClassName": "nvidia",
            "schedulerName": "volcano",
            "securityContext": {"fsGroup": 1, "sysctls": [{"name": "net.x", "value": "1"}]},
            "shareProcessNamespace": True,
        },
    ),
    _metadata("annotations", {"example.com/scrape": "true"}),
]

FIXED = [
    _case(f"{name} of a pod", "server", {name: value}, "must not contain activeDeadlineSeconds")
    for name, value in {
        "activeDeadlineSeconds": 60,
        "hostNetwork": True,
        "nodeName": "node-1",
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
    }.items()
]
FIELDS_OF_THE_BLOCK = [
    _case(f"{name} beside the block's", "router", {name: value}, f"use those of {block}")
    for block in ("router",)
    for name, value in {
        "affinity": {"nodeAffinity": {}},
        "serviceAccountName": "mine",
        "tolerations": [{"operator": "Exists"}],
        "topologySpreadConstraints": [{"topologyKey": "zone"}],
    }.items()
]
PROGRAM = [
    _case(
        f"{name} of our container",
        "server",
        _container(**{name: value}),
        "the container server must not have args",
    )
    for name, value in {
        "args": ["--port=1"],
        "command": ["sh"],
        "image": "mine",
        "imagePullPolicy": "Always",
        "lifecycle": {"preStop": {"sleep": {"seconds": 60}}},
        "livenessProbe": {"tcpSocket": {"port": 8000}},
        "readinessProbe": {"tcpSocket": {"port": 8000}},
        "startupProbe": {"tcpSocket": {"port": 8000}},
    }.items()
]
BAD = [
    *FIXED,
    *FIELDS_OF_THE_BLOCK,
    *PROGRAM,
    _case(
        "a misspelt container",
        "server",
        _container("sever", env=[{"name": "A", "value": "1"}]),
        "each container other than server needs an image",
    ),
    _case(
        "the container of another block",
        "router",
        _container("server", env=[{"name": "A", "value": "1"}]),
        "each container other than router needs an image",
    ),
    _case(
        "our name for an init container",
        "server",
        {"initContainers": [{"name": "server", "image": "a"}]},
        "each init container needs an image and a name other than",
    ),
    _case(
        "our port of our container",
        "server",
        _container(ports=[{"containerPort": 8000, "hostPort": 80, "protocol": "TCP"}]),
        "ports must not contain 8000",
    ),
    _case(
        "our port of a sidecar",
        "router",
        {"containers": [{**PROXY, "ports": [{"containerPort": 8000, "protocol": "TCP"}]}]},
        "ports must not contain 8000",
    ),
    _case(
        "our port's name in an init container",
        "server",
        {
            "initContainers": [
                {
                    "name": "a",
                    "image": "a",
                    "ports": [{"containerPort": 1, "name": "http", "protocol": "TCP"}],
                }
            ]
        },
        "or the name http",
    ),
    _case(
        "a variable of the operator",
        "router",
        _container("router", env=[{"name": "FLAMINGO_ROUTER_PORT", "value": "1"}]),
        "env of the container router must not contain FLAMINGO_*",
    ),
    _case(
        "a variable of the cache",
        "server",
        _container(env=[{"name": "HF_HOME", "value": "/mine"}]),
        "must not contain FLAMINGO_*, HF_HOME",
    ),
    _case(
        "a mount over the operator's",
        "server",
        _container(volumeMounts=[{"name": "scratch", "mountPath": "/models/"}]),
        "must not mount /models",
    ),
    _case(
        "the spool of a router",
        "router",
        _container("router", volumeMounts=[{"name": "scratch", "mountPath": "/spool"}]),
        "must not mount /tmp, /spool, /keys",
    ),
    _case(
        "a volume of the operator",
        "server",
        {"volumes": [{"name": "models", "emptyDir": {}}]},
        "volumes must not contain models, shared-memory, keys",
    ),
    _case(
        "a GPU",
        "server",
        _container(resources={"limits": {"nvidia.com/gpu": 2}}),
        "resources must not contain a GPU",
    ),
    _case(
        "a GPU of a sidecar",
        "router",
        {"containers": [{**PROXY, "resources": {"requests": {"nvidia.com/gpu": 1}}}]},
        "resources must not contain a GPU",
    ),
    Case(
        "a GPU by another name",
        {
            "gpu": {"resourceName": "nvidia.com/mig-3g.40gb"},
            "server": {
                "podTemplate": {
                    "spec": _container(resources={"limits": {"nvidia.com/mig-3g.40gb": 1}})
                }
            },
        },
        errors=("podTemplate must not contain gpu.resourceName",),
    ),
    _case(
        "a router without a token",
        "router",
        {"automountServiceAccountToken": False},
        "automountServiceAccountToken must not be false",
    ),
    _metadata("labels", {"flamingo.dev/serving": "true"}, "labels must not contain flamingo.dev/*"),
    _metadata("labels", {"a b": "c"}, "keys must be names"),
    _metadata("labels", {"app": "c d"}, "spec.server.podTemplate.metadata.labels.app"),
    _metadata("annotations", {"app.kubernetes.io/name": "a"}, "annotations must not contain"),
    _case(
        "a container that is there twice",
        "server",
        {"containers": [PROXY, PROXY]},
        "spec.server.podTemplate.spec.containers",
    ),
    _case(
        "a field that does not exist",
        "server",
        {"hostAlias": []},
        "spec.server.podTemplate.spec.hostAlias",
    ),
    _case(
        "a directive",
        "server",
        {"containers": [{"name": "server", "$patch": "delete"}]},
        "spec.server.podTemplate.spec.containers[0].$patch",
    ),
]
