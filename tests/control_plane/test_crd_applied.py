"""The CustomResourceDefinition, judged by a real API server."""

import json
from typing import Any

import pytest
from control_plane.deployments import BAD, FULL, GOOD, INTERNAL, deployment

from flamingo_operator import crd
from flamingo_operator.api import names, spec

DRY = ("create", "--dry-run=server", "-o", "json", "-f", "-")


@pytest.fixture
def kept(cluster):
    """Create a FlamingoDeployment; it is deleted afterwards."""
    made = []

    def create(body: dict[str, Any]) -> str:
        cluster.output("create", "-f", "-", body=body)
        made.append(body["metadata"]["name"])
        return made[-1]

    yield create
    for name in made:
        cluster.output("delete", "fd", name)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_valid_deployment_is_accepted_with_the_defaults_of_the_types(cluster, case):
    stored = json.loads(cluster.output(*DRY, body=case.body))
    assert without_nothing(stored["spec"]) == without_nothing(
        spec.parse(case.body).spec.model_dump(by_alias=True)
    )
    assert spec.parse(stored).spec == spec.parse(case.body).spec


def without_nothing(value):
    """Return `value` without what is null or empty: the API server keeps what is not given away."""
    if isinstance(value, list):
        return [without_nothing(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept_keys = {key: without_nothing(inner) for key, inner in value.items()}
    return {key: inner for key, inner in kept_keys.items() if inner not in (None, [], {})}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_a_bad_deployment_is_refused_with_the_same_words(cluster, case):
    refusal = cluster.refusal(*DRY, body=case.body)
    for error in case.errors:
        assert error in refusal


def test_the_model_stays_what_it_is(cluster, kept):
    name = kept(deployment(name="fixed"))
    changed = deployment({"model": {"id": "flamingo-tiny-27m"}}, name=name)
    assert "model.id is immutable" in cluster.refusal("apply", "-f", "-", body=changed)


def test_kubectl_scales_it_in_mode_external(cluster, kept):
    name = kept(deployment(name="external"))
    cluster.output("scale", "fd", name, "--replicas=3")
    assert cluster.stored(name)["spec"]["replicas"] == 3


def test_kubectl_scale_is_rejected_with_a_message_in_mode_internal(cluster, kept):
    name = kept(deployment({"scaling": INTERNAL}, name="internal"))
    refusal = cluster.refusal("scale", "fd", name, "--replicas=3")
    assert "spec.replicas is not used while scaling.mode is Internal" in refusal


def test_status_is_a_subresource_and_shown_in_columns(cluster, kept):
    name = kept(deployment(FULL, name="shown"))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "AllReady",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"replicas": 3, "readyReplicas": 2, "selector": "a=b", "conditions": [ready]}
    patch = json.dumps({"status": status, "spec": {"replicas": 400}})
    cluster.output("patch", "fd", name, "--subresource=status", "--type=merge", f"--patch={patch}")
    assert cluster.stored(name)["spec"]["replicas"] == 1
    row = cluster.output("get", "fd", name, "--no-headers").split()
    assert row[1:4] == ["2", "True", "AllReady"]
    scale = json.loads(cluster.output("get", "fd", name, "--subresource=scale", "-o", "json"))
    assert scale["status"] == {"replicas": 3, "selector": "a=b"}


def test_kubectl_explains_the_fields(cluster):
    explained = cluster.output("explain", "fd.spec.scaling.objective.queueWaitSeconds")
    assert "queueWaitSeconds is the longest predicted wait" in explained


def test_applying_it_again_changes_nothing(cluster):
    generation = ("get", "crd", names.CRD, "-o", "jsonpath={.metadata.generation}")
    before = cluster.output(*generation)
    cluster.output("apply", "--server-side", "-f", "-", body=crd.manifest())
    assert cluster.output(*generation) == before
