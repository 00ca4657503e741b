"""The CustomResourceDefinitions of the release before and of the one after, made from the types.

The earlier one lacks fields, the later one has more.
"""

import copy
import json

from flamingo_operator import crd

EARLIER = (
    "spec.rollout.surgePendingSeconds",
    "spec.router.admission",
    "spec.server.pdb",
    "status.pendingReplicas",
    "status.coldStart",
    "status.scaling.bound",
    "status.scaling.history.[].reason",
    "status.failures.[].hint",
    "status.draining",
    "status.avoidedNodes",
    "status.plan",
    "status.conditions.[].observedGeneration",
)
"""Fields that the earlier release did not have."""
STRING = {"type": "string"}
LATER = {
    "spec.later": {**STRING, "default": "x"},
    "spec.server.later": {"type": "object", "default": {}, "properties": {"a": STRING}},
    "spec.rollout.later": {"type": "integer", "default": 1},
    "spec.scaling.schedules.[].later": {**STRING, "default": "x"},
    "status.later": {**STRING, "default": "x"},
    "status.scaling.later": {**STRING, "default": "x"},
    "status.failures.[].later": STRING,
    "status.draining.[].later": STRING,
}
"""Fields that the later release added."""
ENUMS = ("spec.rollout.strategy", "spec.scaling.mode", "spec.router.service.type")
"""Values of the later release are added to these."""
REQUIRED = ("status.draining.[]",)
"""Blocks of the status in which the later release requires its new field."""


def schema_at(manifest, path):
    """Return the schema of a field."""
    schema = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for step in path.split("."):
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    return schema


def own_manifest():
    return copy.deepcopy(json.loads(json.dumps(crd.manifest())))


def drop_rules(schema):
    """Drop the rules, which may mention fields that are dropped, and so the defaults they need."""
    if isinstance(schema, dict):
        schema.pop("x-kubernetes-validations", None)
        if schema.get("type") == "object" and "default" in schema:
            schema["default"] = {}
        for value in schema.values():
            drop_rules(value)


def earlier_manifest():
    manifest = own_manifest()
    drop_rules(manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    for path in EARLIER:
        parent, _, name = path.rpartition(".")
        schema = schema_at(manifest, parent)
        del schema["properties"][name]
        if name in schema.get("required", ()):
            schema["required"].remove(name)
    return manifest


def later_manifest():
    manifest = own_manifest()
    for path, schema in LATER.items():
        parent, _, name = path.rpartition(".")
        schema_at(manifest, parent)["properties"][name] = schema
    for path in ENUMS:
        schema_at(manifest, path)["enum"].append("Later")
    for path in REQUIRED:
        schema_at(manifest, path)["required"].append("later")
    return manifest
