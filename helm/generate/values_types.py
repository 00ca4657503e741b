"""The types of values that charts copy into objects of Kubernetes.

Those of core/v1 are the operator's: generated from the OpenAPI document of a real API server, with
the limits that the API server adds. So a misspelt field of a toleration is refused before anything
is installed.
"""

from collections.abc import Iterator
from typing import Any

from flamingo_operator.api import pod_schema

Json = dict[str, Any]

PORT = {"type": ["integer", "string"]}
STRINGS = {"type": "array", "items": {"type": "string"}}
LABEL_SELECTOR = {"$ref": "LabelSelector"}
OWN: Json = {
    "Duration": {
        "description": "A duration of Prometheus, such as 30s or 1m30s",
        "type": "string",
        "pattern": "^((([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
    },
    "NetworkPolicyPeer": {
        "type": "object",
        "minProperties": 1,
        "properties": {
            "podSelector": LABEL_SELECTOR,
            "namespaceSelector": LABEL_SELECTOR,
            "ipBlock": {
                "type": "object",
                "required": ["cidr"],
                "properties": {"cidr": {"type": "string"}, "except": STRINGS},
            },
        },
    },
    "NetworkPolicyPort": {
        "type": "object",
        "properties": {
            "port": PORT,
            "endPort": {"type": "integer"},
            "protocol": {"type": "string", "enum": ["TCP", "UDP", "SCTP"]},
        },
    },
    "NetworkPolicyEgressRule": {
        "type": "object",
        "properties": {
            "to": {"type": "array", "items": {"$ref": "NetworkPolicyPeer"}},
            "ports": {"type": "array", "items": {"$ref": "NetworkPolicyPort"}},
        },
    },
    "RelabelConfig": {
        "description": "A relabeling of the Prometheus operator",
        "type": "object",
        "properties": {
            "action": {"type": "string"},
            "modulus": {"type": "integer"},
            "regex": {"type": "string"},
            "replacement": {"type": "string"},
            "separator": {"type": "string"},
            "sourceLabels": STRINGS,
            "targetLabel": {"type": "string"},
        },
    },
}
"""Types that are not of core/v1."""
_KEPT = (
    "type",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "minProperties",
    "required",
)
"""Keys of a schema of Kubernetes that mean the same in a JSON schema."""


def definitions(properties: Json) -> Json:
    """Return the types that schemas refer to, directly or through others, by name."""
    found: Json = {}
    wanted = list(_references(properties))
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _closed(OWN[name]) if name in OWN else _core(name)
            wanted += _references(found[name])
    return dict(sorted(found.items()))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _references(one)
    elif isinstance(node, dict):
        for key, inner in node.items():
            if key == "$ref":
                yield inner
            else:
                yield from _references(inner)


def _core(name: str) -> Json:
    """Return a type of core/v1.

    Raises:
        KeyError: there is none of this name.
    """
    return _closed(_converted(dict(pod_schema.definition(name))))


def _converted(node: Json) -> Json:
    """Return a schema of Kubernetes as a JSON schema; a bound of numbers ignores strings."""
    if "$ref" in node:
        return {"$ref": node["$ref"]}
    out = {key: node[key] for key in _KEPT if key in node}
    if node.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "number", "string"]
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            out[key] = _converted(node[key])
    if "properties" in node:
        out["properties"] = {name: _converted(one) for name, one in node["properties"].items()}
    return out


def _closed(node: Json) -> Json:
    """Return a schema that refuses fields it does not know."""
    out = {
        key: _closed(inner) if key in ("items", "additionalProperties") else inner
        for key, inner in node.items()
    }
    if "properties" in node:
        out["properties"] = {name: _closed(one) for name, one in node["properties"].items()}
        out.setdefault("additionalProperties", False)
    return out
