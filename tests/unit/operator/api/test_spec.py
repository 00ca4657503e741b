"""What a FlamingoDeployment may say, by the types alone."""

import pytest
from control_plane.deployments import BAD, BAD_FIELDS, FULL, GOOD, deployment

from flamingo_operator.api import spec
from flamingo_operator.api.spec import SpecError


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_good_deployment_is_read(case):
    read = spec.parse(case.body)
    assert read.metadata.name == case.name
    assert read.spec.model.id == case.body["spec"]["model"]["id"]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_a_bad_deployment_is_refused_with_each_fault_named(case):
    with pytest.raises(SpecError) as refusal:
        spec.parse(case.body)
    assert len(refusal.value.errors) == len(case.errors)
    for fault, said in zip(refusal.value.errors, case.errors, strict=True):
        assert said in fault


@pytest.mark.parametrize("case", BAD_FIELDS, ids=lambda case: case.id)
def test_a_fault_begins_with_its_path(case):
    with pytest.raises(SpecError) as refusal:
        spec.parse(case.body)
    assert refusal.value.errors[0].startswith(f"{case.errors[0]}: ")


def test_what_is_not_given_has_a_default():
    read = spec.parse(deployment()).spec
    assert (read.replicas, read.scaling.mode, read.rollout.strategy) == (1, "External", "Auto")
    assert read.gpu.resource_name == "nvidia.com/gpu"
    assert read.gpu.tolerations[0].operator == "Exists"


def test_everything_given_is_kept():
    read = spec.parse(deployment(FULL)).spec
    assert read.server.resources.requests == {"cpu": 4, "memory": "32Gi"}
    assert read.server.env[1].value_from == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert read.gpu.min_memory_gib == 40
    assert read.router.service.port == 443


def test_what_the_cluster_added_is_not_ours_to_judge():
    body = deployment()
    body["metadata"] |= {"uid": "u-1", "generation": 7, "managedFields": [], "labels": {"a": "b"}}
    read = spec.parse(body | {"status": {"replicas": 3}})
    assert (read.metadata.uid, read.metadata.generation) == ("u-1", 7)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"kind": "Deployment"}, "kind", id="another kind"),
        pytest.param({"apiVersion": "flamingo.dev/v2"}, "apiVersion", id="another version"),
        pytest.param({"metadata": {}}, "metadata.name", id="no name"),
        pytest.param({"spec": None}, "spec", id="no spec"),
    ],
)
def test_something_else_is_no_deployment(change, path):
    with pytest.raises(SpecError) as refusal:
        spec.parse(deployment() | change)
    assert [fault.split(":")[0] for fault in refusal.value.errors] == [path]


def test_an_input_is_not_told_back():
    body = deployment({"server": {"env": [{"name": "TOKEN", "value": ["hunter2"]}]}})
    with pytest.raises(SpecError) as refusal:
        spec.parse(body)
    assert "hunter2" not in str(refusal.value)
