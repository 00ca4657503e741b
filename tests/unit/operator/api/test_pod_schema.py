"""The schemas of what is copied into pods."""

import pytest

from flamingo_operator.api import pod_limits, pod_schema

ROOTS = [{"$ref": "PodSpec"}, {"$ref": "ObjectMeta"}, {"$ref": "ResourceRequirements"}]


def nodes(schema):
    """Yield every node of a schema."""
    yield schema
    inner = [schema[key] for key in ("items", "additionalProperties") if key in schema]
    for one in [*inner, *schema.get("properties", {}).values()]:
        yield from nodes(one)


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root["$ref"])
def test_an_expanded_schema_is_structural(root):
    for node in nodes(pod_schema.expand(root, 9)):
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node)
        assert not {"$ref", "rules"} & node.keys()
        assert not any(key.startswith("x-kubernetes-patch") for key in node)


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root["$ref"])
def test_the_keys_of_a_list_map_are_required_or_have_a_default(root):
    for node in nodes(pod_schema.expand(root, 0)):
        for key in node.get("x-kubernetes-list-map-keys", ()):
            items = node["items"]
            assert key in items["required"] or "default" in items["properties"][key]


def test_fields_are_described_down_to_a_depth():
    expanded = pod_schema.expand(pod_schema.field("PodSpec", "affinity"), 1)
    node_affinity = expanded["properties"]["nodeAffinity"]
    assert "description" in expanded
    assert "description" in node_affinity
    assert all("description" not in one for one in node_affinity["properties"].values())


def test_a_field_s_own_description_takes_precedence_over_its_type_s():
    described = pod_schema.resolve(pod_schema.field("Container", "readinessProbe"))
    assert described["description"].startswith("Periodic probe of container service readiness")


def test_lists_and_maps_with_rules_in_them_are_bounded():
    for root in ROOTS:
        for node in nodes(pod_schema.expand(root, 0)):
            if _has_validations(node):
                assert node.get("type") != "array" or node["maxItems"] <= pod_limits.MAX_ITEMS


def _has_validations(schema):
    return any("x-kubernetes-validations" in node for node in nodes(schema))


def test_every_limit_and_rule_is_of_a_type_and_a_field_that_exist():
    names = set(pod_schema.names())
    assert {*pod_limits.RULES, *pod_limits.BOUNDS} <= names
    for name, bounds in pod_limits.BOUNDS.items():
        fields = pod_schema.definition(name).get("properties")
        if fields is not None:
            assert bounds.keys() - {"required"} <= fields.keys(), name
