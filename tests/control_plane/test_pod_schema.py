"""The schemas of what is copied into pods, judged by a real API server."""

import json
from typing import Any

import pytest
from control_plane.api_server import ApiServer
from control_plane.operators import wait_until
from control_plane.pod_fields import BAD, GOOD

from flamingo_operator import pod_openapi
from flamingo_operator.api import pod_schema

GROUP = "test.flamingo.dev"
FIELDS = sorted({(case.of, case.field) for case in GOOD + BAD})
OURS = f"/apis/{GROUP}/v1/namespaces/default/podfields"
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def api(cluster):
    """Serve a kind with the schemas of all fields of the cases."""
    fields = {f"{of}{field}": _schema(of, field) for of, field in FIELDS}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "PodField", "plural": "podfields", "singular": "podfield"}
    made = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"podfields.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
    cluster.output("create", "-f", "-", body=made)
    wait_until(lambda: cluster.call("get", "podfields").returncode == 0, "the kind is served")
    if cluster.state is not None:
        account = ("get", "serviceaccount", "default")
        wait_until(lambda: cluster.call(*account).returncode == 0, "pods have a service account")
    yield ApiServer.of(cluster)
    cluster.output("delete", "crd", f"podfields.{GROUP}")


def _schema(of: str, field: str) -> dict[str, Any]:
    return pod_schema.expand(pod_schema.field(of, field), 0)


def _custom_resource(case):
    spec = {f"{case.of}{case.field}": case.value}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "PodField",
        "metadata": {"name": "judged"},
        "spec": spec,
    }


def _pod(case):
    container = {"name": "server", "image": "none"}
    spec: dict[str, Any] = {"containers": [container]}
    (spec if case.of == "PodSpec" else container)[case.field] = case.value
    if case.field == "volumeMounts":
        spec["volumes"] = [{"name": name, "emptyDir": {}} for name in "ab"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "judged"}, "spec": spec}


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_valid_value_is_accepted_in_our_kind_and_in_a_pod(api, case):
    assert api.create(OURS, _custom_resource(case)).get("spec") == _custom_resource(case)["spec"]
    assert api.create(PODS, _pod(case))["kind"] == "Pod"


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_what_a_pod_may_not_have_is_refused_in_our_kind_with_its_path(api, case):
    refusal = api.create(OURS, _custom_resource(case))["message"]
    path = "".join(f"[{one}]" if one.isdigit() else f".{one}" for one in case.path.split(".")[1:])
    assert f"spec.{case.of}{case.field}{path}" in refusal
    assert api.create(PODS, _pod(case))["kind"] == ("Pod" if case.is_stricter else "Status")


def test_the_schemas_are_those_of_the_api_server(cluster):
    document = json.loads(cluster.output("get", "--raw", "/openapi/v3/api/v1"))
    served = pod_openapi.reduce_document(document)
    if served["source"] == pod_schema.DATA["source"]:
        assert served == pod_schema.DATA, "run python -m flamingo_operator.pod_openapi"
    for name, schema in served["schemas"].items():
        ours = _types(pod_schema.DATA["schemas"].get(name, {}))
        theirs = _types(schema)
        assert {field: theirs[field] for field in ours if field in theirs} == {
            field: ours[field] for field in ours if field in theirs
        }, name


def _types(schema):
    fields = schema.get("properties", {}).items()
    return {name: (node.get("type"), node.get("$ref")) for name, node in fields}
