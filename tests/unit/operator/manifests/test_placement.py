"""Where pods may run."""

import pytest
from control_plane.deployments import AWAY_FROM_SPOT
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.manifests import placement, router
from flamingo_operator.manifests.placement import PREFERRED, REQUIRED

NOT_SPOT = AWAY_FROM_SPOT["nodeAffinity"][REQUIRED]["nodeSelectorTerms"][0]["matchExpressions"][0]


def placed(**spec):
    return placement.server_placement(Cluster.of(spec).deployment.spec)


def requirements(placed):
    (term,) = placed["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    return term["matchExpressions"]


def taints(placed):
    return {one["key"] for one in placed["tolerations"] if one["effect"] == "NoSchedule"}


def test_the_taint_of_nodes_with_gpus_is_tolerated_beside_those_of_the_user():
    server = {"tolerations": [{"key": "audio", "operator": "Exists", "effect": "NoSchedule"}]}
    assert taints(placed(server=server)) == {"audio", "nvidia.com/gpu"}
    slice_ = {"resourceName": "nvidia.com/mig-3g.40gb"}
    assert taints(placed(gpu=slice_)) == {"nvidia.com/gpu", "nvidia.com/mig-3g.40gb"}


def test_without_a_gpu_no_taint_and_no_node_is_special():
    found = placed(gpu={"count": 0})
    assert taints(found) == set()
    assert found["affinity"] is None


@pytest.mark.parametrize(
    ("gpu", "label"),
    [
        ({}, "nvidia.com/gpu.memory"),
        ({"resourceName": "nvidia.com/gpu.shared"}, "nvidia.com/gpu.memory"),
        ({"resourceName": "nvidia.com/mig-3g.40gb"}, "nvidia.com/mig-3g.40gb.memory"),
        ({"resourceName": "nvidia.com/mig-1g.10gb.shared"}, "nvidia.com/mig-1g.10gb.memory"),
    ],
)
def test_memory_is_that_of_what_a_server_pod_gets(gpu, label):
    (found,) = requirements(placed(gpu={**gpu, "minMemory": "40Gi"}))
    assert found == {"key": label, "operator": "Gt", "values": ["38912"]}


def test_memory_may_be_written_in_any_unit():
    assert requirements(placed(gpu={"minMemory": 40 * 2**30})) == requirements(
        placed(gpu={"minMemory": "40960Mi"})
    )


def test_each_alternative_of_the_user_s_affinity_needs_the_gpu_too():
    of_node = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}
    terms = [{"matchExpressions": [NOT_SPOT]}, of_node]
    preferred = {"weight": 1, "preference": {"matchExpressions": [NOT_SPOT]}}
    affinity = {
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}, PREFERRED: [preferred]},
        "podAffinity": {PREFERRED: []},
    }
    gpu = {"products": ["A", "B"]}
    found = placed(server={"affinity": affinity}, gpu=gpu)["affinity"]
    product = {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["A", "B"]}
    assert found["nodeAffinity"][REQUIRED]["nodeSelectorTerms"] == [
        {"matchExpressions": [NOT_SPOT, product]},
        {**of_node, "matchExpressions": [product]},
    ]
    assert [one["weight"] for one in found["nodeAffinity"][PREFERRED]] == [1, 100]
    assert found["podAffinity"] == affinity["podAffinity"]


def test_without_a_choice_of_gpus_the_user_s_affinity_is_kept_as_it_is():
    assert placed(server={"affinity": AWAY_FROM_SPOT})["affinity"] == AWAY_FROM_SPOT


def test_an_avoided_node_is_added_to_fields_that_are_matched_already():
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    spec = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}}
    found = placement.with_avoided_nodes(spec, ["b"])
    (term,) = found["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    assert [one["values"] for one in term["matchFields"]] == [["a"], ["b"]]


def router_pod(**fields):
    deployment = Cluster.of({"router": fields}).deployment
    made = router.router_manifests(deployment, RELEASE)
    (found,) = (one for one in made if one["kind"] == "Deployment")
    return found["spec"]["template"]["spec"]


def test_routers_spread_over_nodes_unless_the_user_spreads_them_otherwise():
    own = {"podAntiAffinity": {PREFERRED: []}}
    assert router_pod(affinity=AWAY_FROM_SPOT)["affinity"].keys() == {
        "nodeAffinity",
        "podAntiAffinity",
    }
    assert router_pod(affinity=own)["affinity"] == own


def test_spread_constraints_select_the_pods_of_their_block_unless_they_say_otherwise():
    zones = {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
    other = {**zones, "topologyKey": "host", "labelSelector": {"matchLabels": {"a": "b"}}}
    first, second = router_pod(topologySpreadConstraints=[zones, other])[
        "topologySpreadConstraints"
    ]
    assert first["labelSelector"]["matchLabels"]["flamingo.dev/component"] == "router"
    assert second == other
