"""The reduction of an API server's OpenAPI document."""

import io
import json

import pytest

from flamingo_operator import pod_openapi

CORE = "io.k8s.api.core.v1."


def document(**definitions):
    """Return an OpenAPI document; a PodSpec and a ResourceRequirements are always in it."""
    both = {"PodSpec": {"type": "object"}, "ResourceRequirements": {"type": "object"}}
    schemas = {f"{CORE}{name}": schema for name, schema in {**both, **definitions}.items()}
    return {"info": {"version": "1.99"}, "components": {"schemas": schemas}}


def reduced(**definitions):
    return pod_openapi.reduce_document(document(**definitions))["schemas"]


def test_the_source_is_named():
    assert pod_openapi.reduce_document(document())["source"] == (
        "Kubernetes 1.99, /openapi/v3/api/v1"
    )


def test_a_reference_is_kept_by_its_short_name_and_its_type_is_added():
    reference = {"allOf": [{"$ref": f"#/components/schemas/{CORE}Affinity"}], "default": {}}
    spec = {"type": "object", "properties": {"affinity": reference}}
    found = reduced(PodSpec=spec, Affinity={"type": "object"}, Service={"type": "object"})
    assert found["PodSpec"]["properties"]["affinity"]["$ref"] == "Affinity"
    assert sorted(found) == ["Affinity", "PodSpec", "ResourceRequirements"]


def test_what_no_pod_of_a_fleet_uses_is_left_out():
    fields = {
        "ephemeralContainers": {"type": "array", "items": {"type": "string"}},
        "newField": {"type": "string", "description": "What it is. (Alpha) It needs a gate."},
        "hostname": {"type": "string"},
    }
    spec = {"type": "object", "properties": fields}
    assert [*reduced(PodSpec=spec)["PodSpec"]["properties"]] == ["hostname"]


def test_the_merge_strategy_of_a_list_is_kept():
    strategy = {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["ip"],
        "x-kubernetes-patch-merge-key": "ip",
        "x-kubernetes-patch-strategy": "merge",
    }
    aliases = {"type": "array", "items": {"type": "string"}, **strategy}
    spec = {"type": "object", "properties": {"hostAliases": aliases}}
    assert reduced(PodSpec=spec)["PodSpec"]["properties"]["hostAliases"].items() >= strategy.items()


def test_only_a_default_among_choices_is_kept():
    fields = {
        "hostname": {"type": "string", "default": ""},
        "subdomain": {"type": "string", "default": "b", "enum": ["a", "b"]},
    }
    found = reduced(PodSpec={"type": "object", "properties": fields})["PodSpec"]["properties"]
    assert {name: node.get("default") for name, node in found.items()} == {
        "hostname": None,
        "subdomain": "b",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Name of it. More info: https://k8s.io/names", "Name of it."),
        ("Kind of it (e.g. this, i.e. that). More.", "Kind of it (e.g. this, i.e. that)."),
        ("name is Optional: the name.", "name is the name."),
        ("Required: the name. Cannot change.", "the name."),
        ('One of these\n\nPossible enum values:\n - `"A"` is it', "One of these."),
        ("Version 1.2 of it", "Version 1.2 of it."),
        ("", ""),
    ],
)
def test_the_first_sentence_of_a_description_is_kept(text, sentence):
    assert pod_openapi.first_sentence(text) == sentence


def test_a_description_begins_with_the_field_s_name_as_it_is_written():
    fields = {"dnsPolicy": {"type": "string", "description": "DNSPolicy is the policy."}}
    spec = {"type": "object", "properties": fields}
    found = reduced(PodSpec=spec)["PodSpec"]["properties"]["dnsPolicy"]
    assert found["description"] == "dnsPolicy is the policy."


def test_the_command_writes_the_file(tmp_path, monkeypatch):
    file = tmp_path / "schema.json"
    monkeypatch.setattr("sys.argv", ["pod_openapi", str(file)])
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document())))
    assert pod_openapi.main() == 0
    assert json.loads(file.read_text()) == pod_openapi.reduce_document(document())
