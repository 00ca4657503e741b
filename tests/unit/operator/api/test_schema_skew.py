"""Differences between two schemas."""

import copy

from flamingo_operator.api.schema_skew import SchemaSkew, compare

NAME = {"type": "string", "description": "name", "maxLength": 10}
OWN = {
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "name": NAME,
                "mode": {"type": "string", "enum": ["A", "B"], "default": "A"},
                "items": {"type": "array", "items": {"type": "object", "properties": {"a": NAME}}},
            },
        }
    }
}


def served(**fields):
    """Return a schema with other fields in the spec; None removes one."""
    schema = copy.deepcopy(OWN)
    properties = schema["properties"]["spec"]["properties"] | fields
    kept = {name: one for name, one in properties.items() if one is not None}
    schema["properties"]["spec"]["properties"] = kept
    return schema


def test_equal_schemas_do_not_differ_whatever_their_descriptions():
    assert compare(OWN, OWN) == SchemaSkew()
    other = served(name=NAME | {"description": "other"})
    assert compare(OWN, other) == SchemaSkew()


def test_a_field_may_be_missing_unknown_or_changed_at_any_depth():
    mode = {"type": "string", "enum": ["B", "A", "C"], "default": "A"}
    items = {"type": "array", "items": {"type": "object", "properties": {"b": NAME}}}
    found = compare(OWN, served(name=None, mode=mode, items=items, later={"type": "integer"}))
    assert found.missing == ("spec.items[].a", "spec.name")
    assert found.unknown == ("spec.items[].b", "spec.later")
    assert found.changed == ("spec.mode",)


def test_an_enum_in_another_order_is_the_same():
    mode = {"type": "string", "enum": ["B", "A"], "default": "A"}
    assert compare(OWN, served(mode=mode)) == SchemaSkew()


def test_a_field_that_only_one_side_requires_changes_its_block():
    schema = served()
    schema["properties"]["spec"]["required"] = ["name"]
    assert compare(OWN, schema) == SchemaSkew(changed=("spec",))
