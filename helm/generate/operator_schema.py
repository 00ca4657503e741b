"""Generate the schema of the operator chart's values from values.yaml.

    python helm/generate/operator_schema.py

A value has the type of its default, which a comment `@schema KEY: VALUE; …` above it refines;
`$ref` names a type of `values_types`. Null unsets a value whose default is empty, that has a `$ref`
or that is `nullable`; templates rely on the others. Only what is in values.yaml is accepted. Run it
after a change of values.yaml; a test compares the file.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import readme
import yaml
from values_types import definitions

CHART = Path(__file__).parents[1] / "flamingo-operator"
FILE = CHART / "values.schema.json"
DRAFT = "http://json-schema.org/draft-07/schema#"
"""Helm 3 knows no later draft."""
CONDITION = {"type": "boolean"}
"""`enabled` is not a value of this chart, but the condition of a chart that depends on it."""
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}

Json = dict[str, Any]


def to_json() -> str:
    """Return the schema as JSON, the same each time."""
    return json.dumps(schema((CHART / "values.yaml").read_text(encoding="utf-8")), indent=1) + "\n"


def schema(values: str) -> Json:
    """Return the schema of a values.yaml.

    Raises:
        ValueError: the file has no values, or the type of one is not known.
    """
    top = yaml.compose(values)
    if not isinstance(top, yaml.MappingNode):
        raise ValueError("values.yaml is not a mapping")  # noqa: TRY004 - of the file
    found, required = _properties(top, values.splitlines())
    properties = {"enabled": CONDITION, **found}
    # Charts that depend on this one share the section with all others.
    properties["global"]["additionalProperties"] = True
    whole = {
        "$schema": DRAFT,
        "title": f"Values of the chart {CHART.name}",
        **_section(properties, required),
        "definitions": definitions(properties),
    }
    return dict(_with_pointers(whole))


def _section(properties: Json, required: list[str]) -> Json:
    section = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**section, "required": required} if required else section


def _properties(mapping: yaml.MappingNode, lines: list[str]) -> tuple[Json, list[str]]:
    """Return the schemas of the entries, and the names of those that null may not unset."""
    found: Json = {}
    required = []
    for key, value in mapping.value:
        if readme.is_group(key, value, lines):
            found[key.value] = _section(*_properties(value, lines))
            required.append(key.value)
        else:
            stated = dict(_stated(readme.comment_lines_above(lines, key.start_mark.line)))
            is_nullable = stated.pop("nullable", False) or "$ref" in stated
            found[key.value] = _value(key, value, lines, stated)
            if not is_nullable and yaml.SafeLoader("").construct_document(value):
                required.append(key.value)
    return found, required


def _value(key: yaml.ScalarNode, value: yaml.Node, lines: list[str], stated: Json) -> Json:
    at = key.start_mark.line
    described = {"description": readme.comment_above(lines, at)}
    if "$ref" in stated:  # validators ignore what is beside a reference, and editors show it
        return {**described, **stated}
    default = yaml.SafeLoader("").construct_document(value)
    if "type" not in stated and "enum" not in stated and type(default) not in TYPES:
        raise ValueError(f"{key.value}: add a comment `@schema type: …`")
    return {**described, "type": TYPES.get(type(default)), **stated}


def _stated(comment: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of the comment's lines for the schema."""
    for line in map(str.strip, comment):
        if line.startswith(readme.SCHEMA):
            for entry in re.split(r"; (?=[\w$]+: )", line.removeprefix(readme.SCHEMA)):
                key, _, value = entry.partition(": ")
                yield key, yaml.safe_load(value)


def _with_pointers(node: Any) -> Any:
    """Return a schema whose references are pointers into it."""
    if isinstance(node, list):
        return [_with_pointers(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: f"#/definitions/{inner}" if key == "$ref" else _with_pointers(inner)
        for key, inner in node.items()
    }


if __name__ == "__main__":
    FILE.write_text(to_json(), encoding="utf-8")
