"""What `kubectl flamingo plan` expects the operator to do."""

import pytest
from control_plane.deployments import deployment
from fakes.clusters import RELEASE, Cluster
from fakes.live_objects import live
from fakes.operator_inputs import NOW_S

from flamingo_operator.manifests import owned_objects, router_service
from flamingo_operator.plugin import observation


def test_the_forecast_of_a_new_fleet_has_the_first_actions_of_the_operator():
    found = observation.forecast_of(
        Cluster.of({"replicas": 2}).deployment, {}, observation.ClusterObjects({}), NOW_S
    ).actions
    assert "create Deployment music-router" in found
    assert sum(one.startswith("create Pod music-") for one in found) == 2
    assert len(found) == len(set(found))


ALIAS = {"router": {"service": {"alias": "audio"}}}


def service_of(name):
    """Return an alias as another deployment holds it, as the API server sends it."""
    made = router_service.alias(Cluster.of(ALIAS).deployment, [])
    owner = {**made["metadata"]["ownerReferences"][0], "name": name, "uid": f"u-{name}"}
    ours = {"manager": "flamingo-operator", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
    made["metadata"] |= {
        "uid": "u-audio",
        "resourceVersion": "7",
        "labels": {"flamingo.dev/deployment": name},
        "ownerReferences": [owner],
        "managedFields": [ours],
    }
    return made


def alias_actions(holder, **objects):
    given = observation.ClusterObjects({}, deployments=[holder], **objects)
    found = observation.forecast_of(Cluster.of(ALIAS).deployment, {}, given, NOW_S)
    return [one for one in found.actions if one.endswith("Service audio")]


@pytest.mark.parametrize(("claims", "expected"), [(True, []), (False, ["take over Service audio"])])
def test_the_forecast_knows_who_has_the_alias(claims, expected):
    holder = deployment(ALIAS if claims else {}, name="old")
    holder["metadata"] |= {"uid": "u-old"}
    assert alias_actions(holder, alias=service_of("old")) == expected
    assert alias_actions(holder) == ["create Service audio"]


def test_the_plan_of_a_running_fleet_with_batches_changes_no_image():
    """The plugin learns the operator's default images from the Deployments, sidecars or not."""
    sidecar = {"name": "a-proxy", "image": "proxy:1"}
    overlay = {"podTemplate": {"spec": {"containers": [sidecar]}}}
    given = {"batches": {"storage": {"size": "1Gi"}, **overlay}, "router": overlay}
    deployment_ = Cluster.of(given).deployment
    made = owned_objects.build_manifests(deployment_, RELEASE, 1)
    owned = {"Deployment": [live(one) for one in made if one["kind"] == "Deployment"]}
    found = observation.forecast_of(deployment_, {}, observation.ClusterObjects(owned), NOW_S)
    assert not [one for one in found.actions if "Deployment" in one]
