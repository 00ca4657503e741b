"""The types of `spec.py` → the CustomResourceDefinition.

    python -m flamingo_operator.crd [FILE]     default: crds/flamingodeployments.yaml

Kubernetes takes only *structural* schemas: each node has one type, and there
are no references and no unions. Pydantic writes references and `anyOf`; so
`structural` rewrites what it knows and refuses all else.

Run in the repository after a change of the types; a test compares.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flamingo_operator import generated
from flamingo_operator.api import names
from flamingo_operator.api.rules import Block
from flamingo_operator.api.spec import FlamingoDeployment, Spec
from flamingo_operator.api.status import Status

FILE = Path("crds/flamingodeployments.yaml")
HEADER = "# Made by python -m flamingo_operator.crd from operator/flamingo_operator/api/spec.py.\n"
KEPT = frozenset(
    {
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
)
DROPPED = frozenset({"title", "$defs", "$ref", "anyOf", "const"})
COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', False),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', False),
    ("Up", "integer", ".status.readyReplicas", False),
    ("Want", "integer", ".status.scaling.desiredReplicas", False),
    ("Updated", "integer", ".status.updatedReplicas", False),
    ("Model", "string", ".spec.model.id", True),
    ("Audio-s/s", "string", ".status.capacity.audioSecondsPerSecond", True),
    ("Cost/h", "string", ".status.cost.perHour", True),
    ("URL", "string", ".status.url", True),
    ("Age", "date", ".metadata.creationTimestamp", False),
)
"""Name, type, path, and whether only `-o wide` shows it."""

Schema = dict[str, Any]


def manifest() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.CRD},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": ["all", names.CATEGORY],
            },
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if is_wide else {})
            for name, kind, path, is_wide in COLUMNS
        ],
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Schema:
    whole = _schema_of(FlamingoDeployment)
    return {
        "type": "object",
        "description": whole["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _schema_of(Spec),
            "status": _schema_of(Status),
        },
        "x-kubernetes-validations": whole["x-kubernetes-validations"],
    }


def _schema_of(kind: type[Block]) -> Schema:
    schema = kind.model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}))


def structural(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return `schema` without references and unions, as Kubernetes takes it.

    Raises:
        ValueError: it says something that a structural schema cannot.
    """
    flat = _resolved(schema, definitions)
    unknown = flat.keys() - KEPT - DROPPED
    if unknown or not ("type" in flat or "x-kubernetes-int-or-string" in flat):
        raise ValueError(f"no structural schema can say {sorted(unknown) or 'this'}: {flat}")
    out = {key: value for key, value in sorted(flat.items(), key=_place) if key in KEPT}
    _tidy_default(out)
    if out.get("additionalProperties") is False:
        del out["additionalProperties"]  # Kubernetes prunes, or warns, by itself
    for key in ("items", "additionalProperties"):
        if key in out:
            out[key] = structural(out[key], definitions)
    if "properties" in out:
        out["properties"] = {
            name: structural(field, definitions) for name, field in out["properties"].items()
        }
    return out


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Follow the reference, or take the one branch of a union that is not null."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _resolved({**target, **_without(schema, "$ref")}, definitions)
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        if len(branches) != 1:
            raise ValueError(f"no structural schema can say {schema}")
        return _resolved({**branches[0], **_without(schema, "anyOf")}, definitions)
    return schema


def _without(schema: Schema, key: str) -> Schema:
    return {name: value for name, value in schema.items() if name != key}


def _place(entry: tuple[str, Any]) -> tuple[int, str]:
    """Put a node's sentence and type first, and what is in it last."""
    inside = ("items", "properties", "additionalProperties")
    first = ("description", "type")
    key = entry[0]
    return (first.index(key) if key in first else 2 + (key in inside)), key


def _tidy_default(schema: Schema) -> None:
    """Drop a default that is no value, and spell out those that rules depend on.

    The API server judges a block's default by the block's own rules before it
    fills in what is nested: with rules, `{}` would be refused.
    """
    default = schema.pop("default", None)
    if "properties" in schema and default is not None:
        schema["default"] = _spoken(default) if "x-kubernetes-validations" in schema else {}
    elif default is not None:
        schema["default"] = _spoken(default)


def _spoken(value: Any) -> Any:
    """Return a default without the fields that are unset or empty in it."""
    if isinstance(value, list):
        return [_spoken(item) for item in value]
    if not isinstance(value, dict):
        return value
    told = {key: _spoken(inner) for key, inner in value.items()}
    return {key: inner for key, inner in told.items() if inner not in (None, [], {})}


def text() -> str:
    """Return the CustomResourceDefinition as YAML, the same each time."""
    # Through JSON, which has no references: YAML would write `&id001` where a value is shared.
    return HEADER + yaml.safe_dump(json.loads(json.dumps(manifest())), sort_keys=False, width=100)


if __name__ == "__main__":
    raise SystemExit(generated.write_file(FILE, text()))
