"""The schema of a fleet's values refuses what is misspelt or of the wrong type, with its path."""

import json
import re

import pytest
from charts.helm import FLEET, of_kind

SCHEMA = json.loads((FLEET / "values.schema.json").read_text())
MISSPELT = "mispelt"


def filled(node, path, leaves):
    """Return a value with a misspelt field in each object, and note the paths of what has none."""
    if "properties" in node:
        fields = {
            name: filled(one, f"{path}/{name}", leaves) for name, one in node["properties"].items()
        }
        return fields | ({} if node.get("additionalProperties") is None else {MISSPELT: 1})
    if "items" in node:
        return [filled(node["items"], f"{path}/0", leaves)]
    if isinstance(node.get("additionalProperties"), dict):
        return {"a": filled(node["additionalProperties"], f"{path}/a", leaves)}
    if "type" in node and "object" not in node["type"]:
        leaves.append(path)
    return ["wrong"] if "array" not in node.get("type", "") else {}


def closed(node, path=""):
    """Yield the paths of the objects that may not have other fields."""
    if node.get("additionalProperties") is False:
        yield path
    for name, one in node.get("properties", {}).items():
        yield from closed(one, f"{path}/{name}")
    if "items" in node:
        yield from closed(node["items"], f"{path}/0")
    if isinstance(node.get("additionalProperties"), dict):
        yield from closed(node["additionalProperties"], f"{path}/a")


def test_each_misspelt_field_and_each_value_of_a_wrong_type_is_refused_with_its_path(helm):
    leaves = []
    refusal = helm.refusal(FLEET, filled(SCHEMA, "", leaves))
    lines = {line.strip() for line in refusal.splitlines()}
    paths = [*closed(SCHEMA)]
    assert len(paths) > 300
    assert len(leaves) > 1000
    told = f"additional properties '{MISSPELT}' not allowed"
    assert [path for path in paths if f"- at '{path}': {told}" not in lines] == []
    wrong = {
        line.split("'")[1] for line in lines if re.search(r"': got (array|object), want", line)
    }
    assert set(leaves) - wrong == set()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "at '': additional properties 'modle' not allowed"),
        ({"gpu": {"count": "none"}}, "at '/gpu/count': got string, want null or integer"),
        (
            {"scaling": {"mode": "internal"}},
            "at '/scaling/mode': value must be one of 'External', 'Internal'\n",
        ),
        ({"model": {"id": None}}, "at '/model': missing property 'id'"),
        ({"apiKeys": {"keys": [{"name": "a"}]}}, "at '/apiKeys/keys/0': missing property 'sha256'"),
        (
            {"apiKeys": {"keys": [{"name": "a", "sha256": "0" * 64, "may": ["all"]}]}},
            "at '/apiKeys/keys/0/may/0': value must be one of 'infer', 'observe'",
        ),
        ({"cost": {"gpuPerHour": 1.5}}, "at '/cost/gpuPerHour': got number, want"),
        ({"enabled": False}, "at '/enabled': value must be true"),
    ],
)
def test_a_refusal_says_what_is_expected(helm, values, message):
    assert message in helm.refusal(FLEET, values)


def test_a_number_given_by_set_where_a_string_is_needed_is_refused_and_set_string_helps(helm):
    field = "server.env[0].value=1"
    named = "--set=server.env[0].name=A"
    assert "at '/server/env/0/value': got number" in helm.refusal(
        FLEET, {}, named, f"--set={field}"
    )
    objects = helm.render(FLEET, {}, named, f"--set-string={field}")
    env = of_kind(objects, "FlamingoDeployment")["spec"]["server"]["env"]
    assert env == [{"name": "A", "value": "1"}]
