"""Requests and limits of containers."""

import pytest
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.api import quantity
from flamingo_operator.manifests import container_resources, pod_template, router
from flamingo_operator.manifests.container_resources import Defaults

CHECKPOINT = {"id": "nvidia/music-flamingo-2601-hf"}
CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "60Gi"}}
DEFAULTS = Defaults({"cpu": "100m", "memory": "1Gi"}, {"memory": "2Gi"}, "1Gi")


def server(**spec):
    template = pod_template.build_template(Cluster.of(spec).deployment, RELEASE)
    return template["spec"]["containers"][0]["resources"]


def pods(**spec):
    deployment = Cluster.of(spec).deployment
    (routers,) = (
        one for one in router.router_manifests(deployment, RELEASE) if one["kind"] == "Deployment"
    )
    servers = pod_template.build_template(deployment, RELEASE)
    return [servers["spec"], routers["spec"]["template"]["spec"]]


def merged(**resources):
    given = Cluster.of({"router": {"resources": resources}}).deployment.spec.router.resources
    return container_resources.resources_with_defaults(given, DEFAULTS)


@pytest.mark.parametrize("spec", [{}, {"model": CHECKPOINT}, {"gpu": {"count": 0}}])
def test_every_container_requests_and_is_bounded_except_in_its_cpu(spec):
    for pod in pods(**spec):
        (container,) = pod["containers"]
        resources = container["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory", "ephemeral-storage"}
        assert resources["limits"].keys() >= {"memory", "ephemeral-storage"}
        assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("spec", [{}, {"model": CHECKPOINT}])
def test_every_emptydir_is_bounded_within_the_limit_of_its_container(spec):
    for pod in pods(**spec):
        sizes = [one["emptyDir"]["sizeLimit"] for one in pod["volumes"] if "emptyDir" in one]
        limits = pod["containers"][0]["resources"]["limits"]
        on_disk = [
            quantity.parse(one["emptyDir"]["sizeLimit"])
            for one in pod["volumes"]
            if "emptyDir" in one and "medium" not in one["emptyDir"]
        ]
        assert sizes
        assert sum(on_disk) < quantity.parse(limits["ephemeral-storage"])


def test_a_model_that_is_built_in_requests_what_a_small_node_has():
    requests = server(gpu={"count": 0})["requests"]
    assert quantity.parse(requests["cpu"]) <= quantity.parse("500m")
    assert quantity.parse(requests["memory"]) <= quantity.parse("1Gi")
    assert requests.keys() == {"cpu", "memory", "ephemeral-storage"}


def test_nothing_that_a_node_may_not_report_is_requested():
    for pod in pods(model=CHECKPOINT):
        (container,) = pod["containers"]
        assert container["resources"]["requests"]["ephemeral-storage"] == "0"


def test_a_checkpoint_without_a_gpu_requests_memory_for_its_weights():
    assert server(model=CHECKPOINT)["requests"]["memory"] == "8Gi"
    assert server(model=CHECKPOINT, gpu={"count": 0})["requests"]["memory"] == "20Gi"


def test_what_the_user_requests_replaces_the_default_of_that_resource_only():
    assert merged(requests={"cpu": 2}) == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"memory": "2Gi"},
    }


def test_a_request_above_the_default_limit_raises_it():
    assert merged(requests={"memory": "4096Mi"})["limits"] == {"memory": "4Gi"}


def test_a_limit_of_the_user_below_the_default_request_is_the_request_too():
    """As in Kubernetes, which copies it where there is no request."""
    assert merged(limits={"memory": "128Mi"}) == {
        "requests": {"cpu": "100m"},
        "limits": {"memory": "128Mi"},
    }


def test_a_default_can_be_taken_away_with_a_request_of_zero():
    assert merged(requests={"cpu": 0})["requests"]["cpu"] == "0"


def test_quantities_are_written_as_the_api_server_stores_them():
    """Otherwise the operator would find the same difference at each look."""
    assert merged(limits={"cpu": "1000m", "memory": "1024Mi"})["limits"] == {
        "cpu": "1",
        "memory": "1Gi",
    }


def test_a_server_pod_gets_one_gpu_or_the_devices_of_its_claims_or_none():
    claim = {"name": "gpu", "resourceClaimTemplateName": "one-gpu", "request": "big"}
    with_claims = {"resourceClaims": [claim]}
    assert server()["limits"]["nvidia.com/gpu"] == "1"
    assert server(gpu=with_claims)["claims"] == [{"name": "gpu", "request": "big"}]
    for gpu in (with_claims, {"count": 0}):
        assert "nvidia.com/gpu" not in {**server(gpu=gpu)["limits"], **server(gpu=gpu)["requests"]}
    template = pod_template.build_template(Cluster.of({"gpu": with_claims}).deployment, RELEASE)
    assert template["spec"]["resourceClaims"] == [
        {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}
    ]


def test_a_server_without_a_gpu_does_not_look_for_one():
    template = pod_template.build_template(Cluster.of({"gpu": {"count": 0}}).deployment, RELEASE)
    assert "--device=cpu" in template["spec"]["containers"][0]["args"]
