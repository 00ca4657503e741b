"""Validation of a FlamingoDeployment by the types alone."""

import pytest
from control_plane.bad_deployments import BAD, BAD_FIELDS
from control_plane.batch_deployments import (
    BATCH_BAD,
    BATCH_BAD_FIELDS,
    BATCH_GOOD,
    BATCH_UNSEEN,
)
from control_plane.deployments import FULL, GOOD, deployment
from control_plane.network_deployments import NETWORK_BAD, NETWORK_BAD_FIELDS, NETWORK_GOOD

from flamingo_operator.api import spec
from flamingo_operator.api.spec import SpecError


@pytest.mark.parametrize("case", GOOD + NETWORK_GOOD + BATCH_GOOD, ids=lambda case: case.id)
def test_a_valid_deployment_is_parsed(case):
    parsed = spec.parse(case.body)
    assert parsed.metadata.name == case.name
    assert parsed.spec.model.id == case.body["spec"]["model"]["id"]


@pytest.mark.parametrize(
    "case", BAD + NETWORK_BAD + BATCH_BAD + BATCH_UNSEEN, ids=lambda case: case.id
)
def test_every_error_of_an_invalid_deployment_is_listed(case):
    with pytest.raises(SpecError) as caught:
        spec.parse(case.body)
    assert len(caught.value.errors) == len(case.errors)
    for error, expected in zip(caught.value.errors, case.errors, strict=True):
        assert expected in error


@pytest.mark.parametrize(
    "case", BAD_FIELDS + NETWORK_BAD_FIELDS + BATCH_BAD_FIELDS, ids=lambda case: case.id
)
def test_an_error_starts_with_its_path(case):
    with pytest.raises(SpecError) as caught:
        spec.parse(case.body)
    assert caught.value.errors[0].startswith(f"{case.errors[0]}: ")


def test_unset_fields_have_defaults():
    parsed = spec.parse(deployment()).spec
    assert (parsed.replicas, parsed.scaling.mode, parsed.rollout.strategy) == (
        1,
        "External",
        "Auto",
    )
    assert parsed.gpu.resource_name == "nvidia.com/gpu"


def test_set_fields_are_kept():
    parsed = spec.parse(deployment(FULL)).spec
    assert parsed.server.resources.requests == {"cpu": 4, "memory": "32Gi"}
    assert parsed.server.env[1].value_from == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert parsed.gpu.min_memory == "40Gi"
    assert parsed.router.service.port == 443


def test_fields_that_the_cluster_added_are_ignored():
    body = deployment()
    body["metadata"] |= {"uid": "u-1", "generation": 7, "managedFields": [], "labels": {"a": "b"}}
    parsed = spec.parse(body | {"status": {"replicas": 3}})
    assert (parsed.metadata.uid, parsed.metadata.generation) == ("u-1", 7)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"kind": "Deployment"}, "kind", id="another kind"),
        pytest.param({"apiVersion": "flamingo.dev/v2"}, "apiVersion", id="another version"),
        pytest.param({"metadata": {}}, "metadata.name", id="no name"),
        pytest.param({"spec": None}, "spec", id="no spec"),
    ],
)
def test_another_object_is_rejected(change, path):
    with pytest.raises(SpecError) as caught:
        spec.parse(deployment() | change)
    assert [error.split(":")[0] for error in caught.value.errors] == [path]


def test_errors_do_not_contain_the_input():
    body = deployment({"server": {"env": [{"name": "TOKEN", "value": ["hunter2"]}]}})
    with pytest.raises(SpecError) as caught:
        spec.parse(body)
    assert "hunter2" not in str(caught.value)
