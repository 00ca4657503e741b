"""The CustomResourceDefinition, judged by a real API server."""

import json
from typing import Any

import pytest
from control_plane.bad_deployments import BAD, BROKEN_RULES
from control_plane.batch_deployments import (
    BATCH_BAD,
    BATCH_BROKEN_RULES,
    BATCH_GOOD,
    BATCH_UNSEEN,
)
from control_plane.deployments import FULL, GOOD, INTERNAL, deployment
from control_plane.network_deployments import NETWORK_BAD, NETWORK_GOOD

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


@pytest.mark.parametrize("case", GOOD + NETWORK_GOOD + BATCH_GOOD, ids=lambda case: case.id)
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


@pytest.mark.parametrize("case", BAD + NETWORK_BAD + BATCH_BAD, ids=lambda case: case.id)
def test_a_bad_deployment_is_refused_with_the_same_words(cluster, case):
    refusal = cluster.refusal(*DRY, body=case.body)
    for error in case.errors:
        assert error in refusal


@pytest.mark.parametrize(
    "case",
    [case for case in BROKEN_RULES + BATCH_BROKEN_RULES if case.name == "music"],
    ids=lambda case: case.id,
)
def test_a_broken_rule_names_the_field_that_the_types_name(cluster, case):
    refusal = cluster.refusal(*DRY, body=case.body)
    with pytest.raises(spec.SpecError) as caught:
        spec.parse(case.body)
    for error in caught.value.errors:
        path, _, message = error.partition(": ")
        (line,) = (one for one in refusal.splitlines() if message in one)
        assert f"{path}: Invalid value" in line


def test_what_the_api_server_knows_in_outline_only_is_left_to_the_operator(cluster):
    for case in BATCH_UNSEEN:
        cluster.output(*DRY, body=case.body)


def test_the_model_stays_what_it_is(cluster, kept):
    name = kept(deployment(name="fixed"))
    changed = deployment({"model": {"id": "flamingo-tiny-27m"}}, name=name)
    assert "model.id is immutable" in cluster.refusal("apply", "-f", "-", body=changed)


def test_the_class_of_a_load_balancer_changes_only_with_the_type(cluster, kept):
    service = {"type": "LoadBalancer", "loadBalancerClass": "a.example/b"}
    name = kept(deployment({"router": {"service": service}}, name="balanced"))
    for changed in ({"loadBalancerClass": "a.example/c"}, {"loadBalancerClass": None}):
        patch = json.dumps({"spec": {"router": {"service": changed}}})
        refusal = cluster.refusal("patch", "fd", name, "--type=merge", f"--patch={patch}")
        assert "service.loadBalancerClass cannot be changed while" in refusal
    for service in (
        {"type": "ClusterIP", "loadBalancerClass": None},
        {"type": "LoadBalancer", "loadBalancerClass": "a.example/c"},
    ):
        patch = json.dumps({"spec": {"router": {"service": service}}})
        cluster.output("patch", "fd", name, "--type=merge", f"--patch={patch}")


def test_kubectl_scales_it_in_mode_external(cluster, kept):
    name = kept(deployment(name="external"))
    cluster.output("scale", "fd", name, "--replicas=3")
    assert cluster.stored(name)["spec"]["replicas"] == 3


def test_kubectl_scale_is_rejected_with_a_message_in_mode_internal(cluster, kept):
    name = kept(deployment({"scaling": INTERNAL}, name="internal"))
    refusal = cluster.refusal("scale", "fd", name, "--replicas=3")
    assert "spec.replicas is not used while scaling.mode is Internal" in refusal


def test_replicas_can_be_taken_out_of_a_manifest_in_mode_internal(cluster, kept):
    name = kept(deployment({"scaling": INTERNAL, "replicas": 3}, name="taken-out"))
    cluster.output("apply", "-f", "-", body=deployment({"scaling": INTERNAL}, name=name))
    patch = json.dumps({"spec": {"replicas": None}})
    cluster.output("patch", "fd", name, "--type=merge", f"--patch={patch}")
    assert cluster.stored(name)["spec"]["replicas"] == 1


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
