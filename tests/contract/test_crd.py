"""The CustomResourceDefinition: generated from the types, and accepted by Kubernetes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fakes.patience import PATIENCE_S
from pydantic import BaseModel

from flamingo_operator import crd
from flamingo_operator.api import names
from flamingo_operator.api.batches import Batches
from flamingo_operator.api.core_field import CoreField
from flamingo_operator.api.router import Router
from flamingo_operator.api.server import Server
from flamingo_operator.api.spec import Spec

FILE = Path(__file__).parents[2] / crd.FILE
MAX_ANNOTATION_BYTES = 262_144
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
VERSION = crd.manifest()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]


def nodes(schema, path=""):
    """Yield every node of a schema with its path."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}[]")


def at(path):
    return dict(nodes(ROOT))[path]


def test_the_file_is_generated_from_the_types():
    assert FILE.read_text() == crd.to_yaml(), "run python -m flamingo_operator.crd"


def test_the_command_writes_the_file(tmp_path):
    file = tmp_path / "crd.yaml"
    command = [sys.executable, "-m", "flamingo_operator.crd", str(file)]
    subprocess.run(command, check=True, timeout=PATIENCE_S)
    assert file.read_text() == crd.to_yaml()


def test_the_yaml_equals_the_manifest_and_has_no_anchors():
    assert yaml.safe_load(crd.to_yaml()) == crd.manifest()
    assert "&id" not in crd.to_yaml()
    assert ": null" not in crd.to_yaml()
    assert "to None" not in crd.to_yaml()


EMBEDDED = {
    f".spec.{name}.{field.alias}"
    for name, block in (("server", Server), ("router", Router), ("batches", Batches))
    for field in block.model_fields.values()
    if any(isinstance(one, CoreField) for one in field.metadata)
}
"""Fields with a schema of core/v1, whose limits and descriptions are not ours."""


def our_nodes(root, path):
    """Yield the nodes outside of core/v1."""
    for at_, node in nodes(root, path):
        is_embedded = any(at_.startswith((f"{one}.", f"{one}[")) for one in EMBEDDED)
        if not is_embedded:
            yield at_, node


def test_every_node_is_structural():
    for path, node in nodes(ROOT):
        assert ("type" in node) != ("x-kubernetes-int-or-string" in node), path
        assert not {"$ref", "anyOf", "oneOf", "allOf", "title", "const"} & node.keys(), path
        assert not {"properties", "additionalProperties"} <= node.keys(), path
        assert node.get("type") != "array" or "items" in node, path


def test_every_field_of_the_spec_is_bounded():
    bounds = {
        "array": {"maxItems"},
        "integer": {"minimum"},
        "string": {"maxLength", "enum"},
    }
    for path, node in our_nodes(ROOT["properties"]["spec"], ".spec"):
        is_embedded = path in EMBEDDED
        assert is_embedded or bounds.get(node.get("type"), node.keys()) & node.keys(), path


@pytest.mark.parametrize("kind", ["spec", "status"])
def test_every_description_is_a_sentence_that_starts_with_the_field_s_name(kind):
    for path, node in our_nodes(ROOT["properties"][kind], f".{kind}"):
        name = path.rpartition(".")[2]
        if not name.endswith("[]"):
            assert node["description"].startswith(f"{name} "), path
            assert node["description"].endswith("."), path
            assert "None" not in node["description"], path


def test_kubectl_apply_can_store_it_in_an_annotation():
    """Without --server-side, kubectl keeps the object there; annotations are limited."""
    stored = json.dumps(crd.manifest(), separators=(",", ":"))
    assert len(stored) < MAX_ANNOTATION_BYTES - len(LAST_APPLIED)


def test_fields_of_a_pod_are_described_to_kubectl_explain():
    assert at(".spec.server.podTemplate.spec.hostAliases")["description"].startswith("hostAliases")


def test_a_description_states_a_scalar_default():
    """`kubectl explain` shows no defaults."""
    assert at(".spec.replicas")["description"].endswith(" Defaults to 1.")
    assert at(".spec.router.enabled")["description"].endswith(" Defaults to true.")
    assert "Defaults" not in at(".spec.gpu")["description"]


def test_every_rule_has_a_message():
    rules = [rule for _, node in nodes(ROOT) for rule in node.get("x-kubernetes-validations", [])]
    assert len(rules) >= 15
    assert all(len(rule["message"]) > 20 for rule in rules)


def test_the_default_of_a_block_with_rules_is_spelled_out():
    """The API server validates it before it fills in nested defaults."""
    assert at(".spec.scaling")["default"]["maxReplicas"] == 1
    assert at(".spec.rollout")["default"]["maxSurge"] == 1
    assert at(".spec.router.admission")["default"] == {}


def test_every_integer_says_its_size():
    """As the API conventions want it."""
    for path, node in nodes(ROOT):
        assert node.get("type") != "integer" or node["format"] in {"int32", "int64"}, path


def test_only_the_model_is_required():
    assert at(".spec")["required"] == ["model"]
    assert at(".spec.model")["required"] == ["id"]


def test_lists_that_several_managers_may_apply_have_keys():
    assert at(".spec.server.env")["x-kubernetes-list-map-keys"] == ["name"]
    assert at(".spec.gpu.products")["x-kubernetes-list-type"] == "set"
    assert at(".status.conditions")["x-kubernetes-list-map-keys"] == ["type"]


def test_it_has_a_scale_subresource_and_printer_columns():
    assert VERSION["subresources"]["scale"] == {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    columns = {column["name"]: column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}
    assert columns["Available"] == '.status.conditions[?(@.type=="Ready")].status'
    for path in columns.values():
        assert "conditions" in path or path.startswith(".metadata") or at(path.replace("[0]", "[]"))


def test_the_names_follow_the_group():
    crd_names = crd.manifest()["spec"]["names"]
    assert crd.manifest()["metadata"]["name"] == f"{crd_names['plural']}.{names.GROUP}"
    assert crd_names["shortNames"] == ["fd"]


def test_a_type_without_a_structural_schema_is_an_error():
    class Either(BaseModel):
        field: int | str

    schema = Either.model_json_schema()
    with pytest.raises(ValueError, match="structural"):
        crd.structural(schema, {})


def test_the_schema_has_every_field_of_the_spec():
    assert set(at(".spec")["properties"]) == {field.alias for field in Spec.model_fields.values()}
