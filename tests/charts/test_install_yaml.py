"""install.yaml: the chart's objects, for kubectl."""

import json

import install_yaml
import pytest
from charts.helm import objects, of_kind

MAX_ANNOTATION_BYTES = 262_144
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture(scope="module")
def installed():
    """Return the objects of install.yaml."""
    return objects(install_yaml.FILE.read_text(encoding="utf-8"))


def test_it_is_rendered_from_the_chart(helm):
    written = install_yaml.FILE.read_text(encoding="utf-8")
    assert written == install_yaml.to_yaml(helm.program), "run make install.yaml"


def test_it_does_not_claim_to_be_managed_by_helm():
    text = install_yaml.FILE.read_text(encoding="utf-8")
    assert "helm.sh/" not in text
    assert "app.kubernetes.io/managed-by" not in text


def test_kubectl_apply_can_store_each_object_in_an_annotation(installed):
    """Without --server-side, kubectl keeps the object there; annotations are limited."""
    for body in installed:
        stored = json.dumps(body, separators=(",", ":"))
        assert len(stored) < MAX_ANNOTATION_BYTES - len(LAST_APPLIED), body["metadata"]["name"]


def test_the_namespace_and_the_kind_come_first(installed):
    assert [one["kind"] for one in installed[:2]] == ["Namespace", "CustomResourceDefinition"]
    namespace = of_kind(installed, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    namespaces = {one["metadata"].get("namespace") for one in installed} - {None}
    assert namespaces == {namespace["metadata"]["name"]}


def test_what_the_operator_is_told_is_text(installed):
    """YAML takes `--host=::` for a mapping."""
    (container,) = of_kind(installed, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert all(isinstance(one, str) for one in container["args"])
    assert "--host=::" in container["args"]
