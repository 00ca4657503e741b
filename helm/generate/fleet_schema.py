"""Generate helm/flamingo/values.schema.json: fields of a FlamingoDeployment, and the chart's own.

    python helm/generate/fleet_schema.py [FILE]

The fields come from the CustomResourceDefinition, so there is no second list of them. A test
compares the file.
"""

import json
from pathlib import Path
from typing import Any

from flamingo_common.service.keys import MAX_KEYS, Key
from flamingo_operator import crd, generated
from flamingo_operator.api import names

OWN_KEYS = ("flamingo-observe", "flamingo-test", "flamingo-batches")
"""Names of the keys that the chart adds."""
FILE = Path(__file__).parents[1] / "flamingo" / "values.schema.json"
KEPT = frozenset(
    {
        "description",
        "enum",
        "exclusiveMinimum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "required",
        "type",
    }
)
"""What JSON Schema and a structural schema have in common. Defaults are in descriptions; Helm must
not take them for values."""

Schema = dict[str, Any]


def to_json() -> str:
    """Return the schema of the values as JSON, the same each time."""
    return json.dumps(values_schema(), ensure_ascii=False, separators=(",", ":")) + "\n"


def values_schema() -> Schema:
    """Return the schema of all values of the chart."""
    spec = json_schema(spec_schema())
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart flamingo",
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "apiKeys", "tests"],
        "properties": spec["properties"] | _chart_values(),
    }


def spec_schema() -> Schema:
    """Return the structural schema of a FlamingoDeployment's spec."""
    version = crd.manifest()["spec"]["versions"][0]
    spec: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def json_schema(node: Schema) -> Schema:
    """Return a structural schema as a JSON Schema of draft 7 that refuses unknown fields."""
    out = {key: value for key, value in node.items() if key in KEPT}
    if node.get("x-kubernetes-int-or-string"):
        out["type"] = ["integer", "string"]
    if node.get("type") != "object":
        return out | ({"items": json_schema(node["items"])} if "items" in node else {})
    if "properties" in node:
        required = node.get("required", ())
        out["properties"] = {
            name: json_schema(one) if name in required else _or_null(json_schema(one))
            for name, one in node["properties"].items()
        }
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = json_schema(node["additionalProperties"])
    elif not node.get("x-kubernetes-preserve-unknown-fields"):
        out["additionalProperties"] = False
    return out


def _or_null(schema: Schema) -> Schema:
    """Allow null, with which a values file unsets what an earlier one sets."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    out = schema | {"type": [*kinds, "null"]}
    if "enum" in out:
        # So that null is not among the values that a message lists.
        out |= {"if": {"type": "string"}, "then": {"enum": out.pop("enum")}}
    return out


def _chart_values() -> Schema:
    labels = {"type": "object", "additionalProperties": {"type": "string"}}
    return {
        "apiKeys": _object(existingSecret={"type": "string", "maxLength": 253}, keys=_keys()),
        "tests": {"required": ["timeoutSeconds"]}
        | _object(
            enabled={"type": "boolean"},
            image={"type": "string"},
            timeoutSeconds={"type": "integer", "minimum": 1, "maximum": 86_400},
            apiKeySecretRef=_object(name={"type": "string"}, key={"type": "string"}),
            labels=labels,
            annotations=labels,
            resources=_resources(),
        ),
        "fullnameOverride": {
            "type": "string",
            "maxLength": names.MAX_NAME_CHARS,
            "pattern": f"^$|{names.NAME_PATTERN}",
        },
        "nameOverride": {"type": "string", "maxLength": 63},
        "commonLabels": labels,
        "commonAnnotations": labels,
        "requireCRD": {"type": "boolean"},
        # What a chart is handed that is a dependency of another one: `enabled` is its condition.
        "global": {"type": "object"},
        "enabled": {"const": True},
    }


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _resources() -> Schema:
    quantities = {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
    return _object(requests=quantities, limits=quantities)


def _keys() -> Schema:
    """Return the schema of the entries of a key file, without Pydantic's unions with null."""
    model = Key.model_json_schema()
    properties = {name: _entry(one) for name, one in model["properties"].items()}
    item = {**_object(**properties), "required": model["required"]}
    return {"type": "array", "maxItems": MAX_KEYS - len(OWN_KEYS), "items": item}


def _entry(schema: Schema) -> Schema:
    for branch in schema.get("anyOf", ()):
        if branch != {"type": "null"}:
            schema = {**branch, **{key: one for key, one in schema.items() if key != "anyOf"}}
    out = {key: value for key, value in schema.items() if key in KEPT}
    return out | ({"items": _entry(schema["items"])} if "items" in schema else {})


if __name__ == "__main__":
    raise SystemExit(generated.write_file(FILE, to_json()))
