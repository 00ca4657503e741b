"""Values of fields that are copied into pods, good and bad.

The types and the API server must agree on each of them.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PodFieldCase:
    """A value of a field of a type of core/v1; where it is wrong, and part of the message."""

    id: str
    of: str
    field: str
    value: Any
    path: str = ""
    error: str = ""
    is_stricter: bool = False
    """Whether a pod may have it, to its harm."""


def _affinity(**requirement: Any) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "zone", **requirement}]}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
        }
    }


def _env(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "A", **fields}]


_TERM = (
    ".nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
    ".nodeSelectorTerms.0.matchExpressions.0"
)
_SPREAD = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
_SECRET = {"name": "a", "key": "b"}

GOOD = [
    PodFieldCase("a node affinity", "PodSpec", "affinity", _affinity(operator="In", values=["a"])),
    PodFieldCase("a label exists", "PodSpec", "affinity", _affinity(operator="Exists")),
    PodFieldCase(
        "a label is a number", "PodSpec", "affinity", _affinity(operator="Gt", values=["1"])
    ),
    PodFieldCase("a value", "Container", "env", _env(value="1")),
    PodFieldCase("an empty variable", "Container", "env", _env()),
    PodFieldCase("a Secret", "Container", "env", _env(valueFrom={"secretKeyRef": _SECRET})),
    PodFieldCase(
        "a field of the pod",
        "Container",
        "env",
        _env(valueFrom={"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}),
    ),
    PodFieldCase("a ConfigMap", "Container", "envFrom", [{"configMapRef": {"name": "a"}}]),
    PodFieldCase(
        "a prefix", "Container", "envFrom", [{"prefix": "A_", "secretRef": {"name": "a"}}]
    ),
    PodFieldCase("limits as a number", "Container", "resources", {"limits": {"cpu": 4}}),
    PodFieldCase("a fraction", "Container", "resources", {"requests": {"cpu": "0.5"}}),
    PodFieldCase("an exponent", "Container", "resources", {"requests": {"memory": "1e9"}}),
    PodFieldCase("a toleration of all", "PodSpec", "tolerations", [{"operator": "Exists"}]),
    PodFieldCase("a toleration", "PodSpec", "tolerations", [{"key": "a", "value": "b"}]),
    PodFieldCase("a constraint", "PodSpec", "topologySpreadConstraints", [_SPREAD]),
    PodFieldCase("a selector", "PodSpec", "nodeSelector", {"example.com/pool": "a.b_c-1", "e": ""}),
    PodFieldCase(
        "a CA bundle", "PodSpec", "volumes", [{"name": "ca", "configMap": {"name": "ca"}}]
    ),
    PodFieldCase(
        "a sized folder", "PodSpec", "volumes", [{"name": "a", "emptyDir": {"sizeLimit": "1Gi"}}]
    ),
    PodFieldCase(
        "a mount", "Container", "volumeMounts", [{"name": "a", "mountPath": "/a", "subPath": "b/c"}]
    ),
    PodFieldCase(
        "a user", "PodSpec", "securityContext", {"runAsUser": 1000, "supplementalGroups": [1]}
    ),
    PodFieldCase("a claim", "PodSpec", "resourceClaims", [{"name": "a", "resourceClaimName": "b"}]),
    PodFieldCase(
        "a sidecar with a probe by name",
        "PodSpec",
        "initContainers",
        [
            {
                "name": "proxy",
                "image": "proxy",
                "restartPolicy": "Always",
                "startupProbe": {"httpGet": {"port": "http", "path": "/"}},
            }
        ],
    ),
]

BAD = [
    PodFieldCase(
        "an operator that does not exist",
        "PodSpec",
        "affinity",
        _affinity(operator="Equals", values=["a"]),
        f"{_TERM}.operator",
        "must be one of",
    ),
    PodFieldCase(
        "no values", "PodSpec", "affinity", _affinity(operator="In"), _TERM, "values must"
    ),
    PodFieldCase(
        "values of a label that exists",
        "PodSpec",
        "affinity",
        _affinity(operator="Exists", values=["a"]),
        _TERM,
        "values must",
    ),
    PodFieldCase(
        "two values of a number",
        "PodSpec",
        "affinity",
        _affinity(operator="Lt", values=["1", "2"]),
        _TERM,
        "values must",
    ),
    PodFieldCase(
        "an affinity that does not exist",
        "PodSpec",
        "affinity",
        {"nodeAfinity": {}},
        ".nodeAfinity",
        "unknown field",
    ),
    PodFieldCase(
        "a weight above 100",
        "PodSpec",
        "affinity",
        {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}
                ]
            }
        },
        ".podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution.0.weight",
        "1 to 100",
    ),
    PodFieldCase(
        "a value and its source",
        "Container",
        "env",
        _env(value="1", valueFrom={"secretKeyRef": _SECRET}),
        ".0",
        "value and valueFrom must not both be set",
    ),
    PodFieldCase(
        "two sources",
        "Container",
        "env",
        _env(valueFrom={"secretKeyRef": _SECRET, "configMapKeyRef": _SECRET}),
        ".0.valueFrom",
        "must have exactly one of",
    ),
    PodFieldCase(
        "no source", "Container", "env", _env(valueFrom={}), ".0.valueFrom", "exactly one of"
    ),
    PodFieldCase(
        "a Secret without a key",
        "Container",
        "env",
        _env(valueFrom={"secretKeyRef": {"name": "a"}}),
        ".0.valueFrom.secretKeyRef.key",
        "required",
    ),
    PodFieldCase(
        "a Secret without a name",
        "Container",
        "env",
        _env(valueFrom={"secretKeyRef": {"key": "a"}}),
        ".0.valueFrom.secretKeyRef.name",
        "required",
    ),
    PodFieldCase(
        "the same variable twice",
        "Container",
        "env",
        _env() + _env(),
        "",
        "the same name",
        is_stricter=True,
    ),
    PodFieldCase(
        "a variable with =", "Container", "env", [{"name": "A=B"}], ".0.name", "must match"
    ),
    PodFieldCase(
        "a number as a value", "Container", "env", _env(value=1), ".0.value", "type string"
    ),
    PodFieldCase("nothing to read", "Container", "envFrom", [{}], ".0", "exactly one of"),
    PodFieldCase(
        "lots of CPU",
        "Container",
        "resources",
        {"requests": {"cpu": "lots"}},
        ".requests.cpu",
        "must match",
    ),
    PodFieldCase(
        "a unit that does not exist",
        "Container",
        "resources",
        {"limits": {"memory": "32GB"}},
        ".limits.memory",
        "must match",
    ),
    PodFieldCase(
        "a negative quantity",
        "Container",
        "resources",
        {"limits": {"memory": "-1"}},
        ".limits.memory",
        "must match",
    ),
    PodFieldCase(
        "a toleration of nothing", "PodSpec", "tolerations", [{}], ".0", "key must be set"
    ),
    PodFieldCase(
        "a value for every value",
        "PodSpec",
        "tolerations",
        [{"key": "a", "operator": "Exists", "value": "b"}],
        ".0",
        "value must not be set",
    ),
    PodFieldCase(
        "seconds of a taint that evicts nothing",
        "PodSpec",
        "tolerations",
        [{"key": "a", "tolerationSeconds": 1}],
        ".0",
        "tolerationSeconds needs effect NoExecute",
    ),
    PodFieldCase(
        "an effect that does not exist",
        "PodSpec",
        "tolerations",
        [{"key": "a", "effect": "NoRun"}],
        ".0.effect",
        "must be one of",
    ),
    PodFieldCase(
        "a misspelt field",
        "PodSpec",
        "topologySpreadConstraints",
        [{**_SPREAD, "topologyKye": "zone"}],
        ".0.topologyKye",
        "unknown field",
    ),
    PodFieldCase(
        "no topology key",
        "PodSpec",
        "topologySpreadConstraints",
        [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
        ".0.topologyKey",
        "required",
    ),
    PodFieldCase(
        "no skew",
        "PodSpec",
        "topologySpreadConstraints",
        [{**_SPREAD, "maxSkew": 0}],
        ".0.maxSkew",
        "at least 1",
    ),
    PodFieldCase(
        "domains that do not bind",
        "PodSpec",
        "topologySpreadConstraints",
        [{**_SPREAD, "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}],
        ".0",
        "minDomains needs",
    ),
    PodFieldCase(
        "a topology key that is not a label",
        "PodSpec",
        "topologySpreadConstraints",
        [{**_SPREAD, "topologyKey": "my zone"}],
        ".0.topologyKey",
        "must match",
        is_stricter=True,
    ),
    PodFieldCase(
        "a label in a selector that is not one",
        "PodSpec",
        "topologySpreadConstraints",
        [{**_SPREAD, "labelSelector": {"matchLabels": {"my app": "a"}}}],
        ".0.labelSelector.matchLabels",
        "valid label keys",
    ),
    PodFieldCase(
        "a label key with a space", "PodSpec", "nodeSelector", {"my pool": "a"}, "", "keys must be"
    ),
    PodFieldCase(
        "a label value with a space",
        "PodSpec",
        "nodeSelector",
        {"pool": "my pool"},
        ".pool",
        "must match",
    ),
    PodFieldCase(
        "a volume without a source",
        "PodSpec",
        "volumes",
        [{"name": "a"}],
        ".0",
        "exactly one of",
        is_stricter=True,
    ),
    PodFieldCase(
        "a volume with two sources",
        "PodSpec",
        "volumes",
        [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/a"}}],
        ".0",
        "exactly one of",
    ),
    PodFieldCase(
        "a volume with an upper-case name",
        "PodSpec",
        "volumes",
        [{"name": "CA", "emptyDir": {}}],
        ".0.name",
        "must match",
    ),
    PodFieldCase(
        "the same volume twice",
        "PodSpec",
        "volumes",
        [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}],
        "",
        "the same name",
    ),
    PodFieldCase(
        "file mode 777 in decimal",
        "PodSpec",
        "volumes",
        [{"name": "a", "secret": {"secretName": "a", "defaultMode": 777}}],
        ".0.secret.defaultMode",
        "0 to 511",
    ),
    PodFieldCase(
        "a path out of the volume",
        "Container",
        "volumeMounts",
        [{"name": "a", "mountPath": "/a", "subPath": "../b"}],
        ".0",
        "relative path",
    ),
    PodFieldCase(
        "two mounts at one path",
        "Container",
        "volumeMounts",
        [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/a"}],
        "",
        "the same mountPath",
    ),
    PodFieldCase(
        "a user by name",
        "PodSpec",
        "securityContext",
        {"runAsUser": "root"},
        ".runAsUser",
        "type integer",
    ),
    PodFieldCase(
        "a profile without a name",
        "PodSpec",
        "securityContext",
        {"seccompProfile": {"type": "Localhost"}},
        ".seccompProfile",
        "localhostProfile must be set",
    ),
    PodFieldCase(
        "a field of a container in a pod's security context",
        "PodSpec",
        "securityContext",
        {"readOnlyRootFilesystem": True},
        ".readOnlyRootFilesystem",
        "unknown field",
    ),
    PodFieldCase(
        "a port above 65535",
        "Container",
        "ports",
        [{"containerPort": 80_000}],
        ".0.containerPort",
        "1 to 65535",
    ),
    PodFieldCase(
        "a probe of two kinds",
        "Container",
        "livenessProbe",
        {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}},
        "",
        "a probe must have exactly one of",
    ),
    PodFieldCase(
        "a probe without a port",
        "Container",
        "livenessProbe",
        {"httpGet": {"path": "/"}},
        ".httpGet.port",
        "required",
    ),
]
