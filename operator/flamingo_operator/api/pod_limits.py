"""What the API server's validation of pods requires beyond the types of core/v1.

The OpenAPI schemas of core/v1 contain few limits: a pod with `cpu: lots`, or with two sources
of one environment variable, conforms to them. The limits and rules here are added to those
schemas, so that a FlamingoDeployment is refused where its pods would be.

Pure.
"""

import re
from collections.abc import Mapping
from typing import Any

from flamingo_operator.api import quantity
from flamingo_operator.api.rules import Rule

Json = Mapping[str, Any]

DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LABEL_KEY = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = "^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
MAX_ITEMS = 64
"""Of every list and map. A limit is needed because the API server rejects CEL rules whose cost it
cannot bound."""

_LABEL = {"maxLength": 63, "pattern": DNS_LABEL}
_NAME = {"minLength": 1}
_KEY = {"maxLength": 317, "pattern": LABEL_KEY}
_PORT = {"minimum": 1, "maximum": 65_535}
_USER_ID = {"minimum": 0, "maximum": 2**31 - 1}
_MODE = {"minimum": 0, "maximum": 0o777}
_WEIGHT = {"minimum": 1, "maximum": 100}
_OPERATORS = {"enum": ["DoesNotExist", "Exists", "In", "NotIn"]}
_UNJUDGED = {"$ref": "Unjudged"}
_NAMED = {"name": _NAME, "required": ["name"]}

DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    "Annotations": {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 65_536},
        "maxProperties": MAX_ITEMS,
    },
    "Labels": {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63, "pattern": LABEL_VALUE},
        "maxProperties": MAX_ITEMS,
    },
    # Judged when a pod is created: what is rare and would be large.
    "Unjudged": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    # Shorter, because a pod's affinity has eight of them.
    "SelectedLabels": {
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63},
        "maxProperties": 16,
    },
}
"""Types that core/v1 does not name."""

BOUNDS: Mapping[str, Mapping[str, Any]] = {
    "ConfigMapEnvSource": _NAMED,
    "ConfigMapKeySelector": {"name": _NAME, "required": ["key", "name"]},
    "ConfigMapProjection": _NAMED,
    "ConfigMapVolumeSource": _NAMED | {"defaultMode": _MODE},
    "Container": {
        "name": _LABEL,
        "ports": {"maxItems": 16},
        "restartPolicy": {"enum": ["Always", "Never", "OnFailure"]},
        "volumeMounts": {"maxItems": 32},
    },
    "ContainerPort": {
        "containerPort": _PORT,
        "hostPort": _PORT,
        "name": {"maxLength": 15, "pattern": DNS_LABEL},
    },
    "DownwardAPIVolumeSource": {"defaultMode": _MODE},
    "EmptyDirVolumeSource": {"medium": {"pattern": "^(|Memory|HugePages(-.+)?)$"}},
    "EnvVar": {"name": {"maxLength": 200, "pattern": "^[^=]+$"}},
    "GRPCAction": {"port": _PORT},
    "HostPathVolumeSource": {"path": {"minLength": 1}},
    "KeyToPath": {"mode": _MODE},
    "LabelSelectorRequirement": {"key": {"minLength": 1}, "operator": _OPERATORS},
    "LabelSelector": {"matchLabels": {"$ref": "SelectedLabels"}},
    "LocalObjectReference": _NAMED,
    "NodeSelector": {"nodeSelectorTerms": {"minItems": 1}},
    "NodeSelectorRequirement": {"key": {"minLength": 1}},
    "ObjectFieldSelector": {"fieldPath": {"minLength": 1}},
    "ObjectMeta": {"annotations": {"$ref": "Annotations"}, "labels": {"$ref": "Labels"}},
    "PersistentVolumeClaimSpec": {"storageClassName": _NAME},
    "PersistentVolumeClaimVolumeSource": {"claimName": _NAME},
    "PersistentVolumeClaimTemplate": {"metadata": _UNJUDGED},
    "PodAffinityTerm": {"namespaceSelector": _UNJUDGED, "topologyKey": {"minLength": 1}},
    "PodResourceClaim": {"name": _LABEL, "resourceClaimName": _NAME},
    "PodSecurityContext": {"fsGroup": _USER_ID, "runAsGroup": _USER_ID, "runAsUser": _USER_ID},
    "PodSpec": {
        "containers": {"maxItems": 16},
        "hostname": _LABEL,
        "initContainers": {"maxItems": 16},
        "nodeSelector": {"$ref": "Labels"},
        "priorityClassName": _NAME,
        "runtimeClassName": _NAME,
        "schedulerName": {"maxLength": 253},
        "serviceAccountName": _NAME,
        "subdomain": _LABEL,
        "volumes": {"maxItems": 32},
    },
    "PreferredSchedulingTerm": {"weight": _WEIGHT},
    "Probe": {
        name: {"minimum": 0}
        for name in ("failureThreshold", "initialDelaySeconds", "periodSeconds", "timeoutSeconds")
    },
    "ProjectedVolumeSource": {"defaultMode": _MODE, "sources": {"maxItems": 16}},
    "Quantity": {"pattern": quantity.PATTERN, "minimum": 0},
    "SecretEnvSource": _NAMED,
    "SecretKeySelector": {"name": _NAME, "required": ["key", "name"]},
    "SecretProjection": _NAMED,
    "SecretVolumeSource": {"secretName": _NAME, "required": ["secretName"], "defaultMode": _MODE},
    "SecurityContext": {"runAsGroup": _USER_ID, "runAsUser": _USER_ID},
    "ServiceAccountTokenProjection": {"expirationSeconds": {"minimum": 600}},
    "SleepAction": {"seconds": {"minimum": 0}},
    "Toleration": {"key": {"maxLength": 317}, "value": {"maxLength": 63}},
    "TopologySpreadConstraint": {
        "maxSkew": {"minimum": 1},
        "minDomains": {"minimum": 1},
        "topologyKey": _KEY,
    },
    "Volume": {"name": _LABEL},
    "VolumeProjection": {"clusterTrustBundle": _UNJUDGED, "downwardAPI": _UNJUDGED},
    "VolumeMount": {
        "name": _LABEL,
        "mountPath": {"maxLength": 255, "pattern": "^/[^:]*$"},
        "recursiveReadOnly": {"enum": ["Disabled", "Enabled", "IfPossible"]},
        "subPath": {"maxLength": 1024},
    },
    "WeightedPodAffinityTerm": {"weight": _WEIGHT},
}
"""By type: limits of its fields, and the fields that are required; for a scalar, its limits."""


def _exactly_one(what: str, *fields: str) -> Rule:
    listed = ", ".join(f"has(self.{field})" for field in fields)
    return Rule(
        cel=f"[{listed}].filter(x, x).size() == 1",
        message=f"{what} must have exactly one of {', '.join(fields)}",
        holds=lambda self: sum(field in self for field in fields) == 1,
    )


def _has_right_values(self: Json) -> bool:
    num = len(self.get("values", ()))
    if self["operator"] in {"In", "NotIn"}:
        return num > 0
    return num == (self["operator"] in {"Gt", "Lt"})


_LABEL_KEYS = Rule(
    cel=f"self.all(k, k.matches('{LABEL_KEY}'))",
    message="keys must be names such as app or example.com/app, of at most 63 letters, digits, '-',"
    " '_' and '.'",
    holds=lambda self: all(re.fullmatch(LABEL_KEY, key) for key in self),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    "Annotations": (_LABEL_KEYS,),
    "Labels": (_LABEL_KEYS,),
    "AppArmorProfile": (
        Rule(
            cel="(self.type == 'Localhost') == has(self.localhostProfile)",
            message="localhostProfile must be set if type is Localhost, and only then",
            holds=lambda self: (self["type"] == "Localhost") == ("localhostProfile" in self),
        ),
    ),
    "EnvFromSource": (_exactly_one("an item of envFrom", "configMapRef", "secretRef"),),
    "EnvVar": (
        Rule(
            cel="!has(self.value) || !has(self.valueFrom)",
            message="value and valueFrom must not both be set: remove one of them",
            holds=lambda self: not {"value", "valueFrom"} <= self.keys(),
        ),
    ),
    "EnvVarSource": (
        _exactly_one(
            "valueFrom", "configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"
        ),
    ),
    "LabelSelectorRequirement": (
        Rule(
            cel="self.operator.endsWith('In') == (has(self.values) && self.values.size() > 0)",
            message="values must be set for In and NotIn, and only then",
            holds=_has_right_values,
        ),
    ),
    "LifecycleHandler": (_exactly_one("a lifecycle handler", "exec", "httpGet", "sleep"),),
    "NodeSelectorRequirement": (
        Rule(
            cel="self.operator.endsWith('In') ? has(self.values) && self.values.size() > 0"
            " : (has(self.values) ? self.values.size() : 0)"
            " == (self.operator in ['Gt', 'Lt'] ? 1 : 0)",
            message="values must have items for In and NotIn, one for Gt and Lt, else none",
            holds=_has_right_values,
        ),
    ),
    "PodResourceClaim": (
        _exactly_one("an item of resourceClaims", "resourceClaimName", "resourceClaimTemplateName"),
    ),
    "Probe": (_exactly_one("a probe", "exec", "grpc", "httpGet", "tcpSocket"),),
    "SeccompProfile": (
        Rule(
            cel="(self.type == 'Localhost') == has(self.localhostProfile)",
            message="localhostProfile must be set if type is Localhost, and only then",
            holds=lambda self: (self["type"] == "Localhost") == ("localhostProfile" in self),
        ),
    ),
    "Toleration": (
        Rule(
            cel="has(self.key) && self.key != ''"
            " || has(self.operator) && self.operator == 'Exists'",
            message="key must be set unless operator is Exists, which then tolerates every taint",
            holds=lambda self: bool(self.get("key")) or self.get("operator") == "Exists",
        ),
        Rule(
            cel="!has(self.operator) || self.operator != 'Exists' || !has(self.value)"
            " || self.value == ''",
            message="value must not be set if operator is Exists: remove it, or use Equal",
            holds=lambda self: self.get("operator") != "Exists" or not self.get("value"),
        ),
        Rule(
            cel="!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
            message="tolerationSeconds needs effect NoExecute",
            holds=lambda self: "tolerationSeconds" not in self or self.get("effect") == "NoExecute",
        ),
    ),
    "SelectedLabels": (
        Rule(
            cel="self.all(k, k.matches('^([^/]+/)?[-A-Za-z0-9_.]{1,63}$')"
            " && self[k].matches('^[-A-Za-z0-9_.]*$'))",
            message="keys and values must be valid label keys and values",
            holds=lambda self: all(
                re.search("^([^/]+/)?[-A-Za-z0-9_.]{1,63}$", key)
                and re.search("^[-A-Za-z0-9_.]*$", value)
                for key, value in self.items()
            ),
        ),
    ),
    "TopologySpreadConstraint": (
        Rule(
            cel="!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
            message="minDomains needs whenUnsatisfiable DoNotSchedule",
            holds=lambda self: (
                "minDomains" not in self or self["whenUnsatisfiable"] == "DoNotSchedule"
            ),
        ),
    ),
    "Volume": (
        _exactly_one(
            "a volume",
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "hostPath",
            "image",
            "nfs",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ),
    ),
    "VolumeMount": (
        Rule(
            cel="!has(self.subPath) || !has(self.subPathExpr) &&"
            " !self.subPath.matches('^/|(^|/)[.][.](/|$)')",
            message="subPath must be a relative path without .., and without subPathExpr beside it",
            holds=lambda self: (
                "subPath" not in self
                or not (
                    "subPathExpr" in self
                    or self["subPath"].startswith("/")
                    or ".." in self["subPath"].split("/")
                )
            ),
        ),
    ),
    "VolumeProjection": (
        _exactly_one(
            "a projected source",
            "clusterTrustBundle",
            "configMap",
            "downwardAPI",
            "secret",
            "serviceAccountToken",
        ),
    ),
}
"""By definition. They hold on the JSON of one value."""
