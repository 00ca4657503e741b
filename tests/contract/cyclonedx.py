"""CycloneDX's own schema, as its Python library ships it."""

import json
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

ADDRESS = "http://cyclonedx.org/schema/"
FOLDER = resources.files("cyclonedx.schema") / "_res"


def schema_errors(bom: dict[str, Any]) -> list[str]:
    """Return how an SBOM differs from the schema of the version that it states."""
    return [error.message for error in _validator(bom["specVersion"]).iter_errors(bom)]


@cache
def _validator(version: str) -> Any:
    others = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    # By the addresses that the schema refers to, which are not their "$id".
    registry = jsonschema_rs.Registry([(f"{ADDRESS}{name}", _read(name)) for name in others])
    schema = _read(f"bom-{version}.SNAPSHOT.schema.json")
    return jsonschema_rs.validator_for(schema, registry=registry)


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found
