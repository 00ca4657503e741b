"""The pod template of a server pod."""

import pytest
from fakes.clusters import Cluster

from flamingo_operator.manifests import placement, pod_template

ENGINE = "llm-d.ai/engine-type"
QUICK = {"minReadySeconds": 0}


@pytest.mark.parametrize(("own", "expected"), [({}, "vllm"), ({ENGINE: "mine"}, "mine")])
def test_endpoint_pickers_know_the_names_of_the_metrics_by_a_label(own, expected):
    cluster = Cluster.of({"replicas": 1, "server": {"podMetadata": {"labels": own}}})
    cluster.live(3)
    pod = pod_template.build_pod(cluster.deployment, cluster.decide().target.revision, 0)
    assert pod["metadata"]["labels"][ENGINE] == expected


def test_avoided_nodes_are_added_to_the_node_affinity_of_the_spec():
    server = {"podMetadata": {"annotations": {"example.com/team": "audio"}}}
    gpu = {"products": ["NVIDIA-L40S", "NVIDIA-A100"]}
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK, "gpu": gpu, "server": server})
    cluster.live(3)
    target = cluster.decide().target.revision
    plain = pod_template.build_pod(cluster.deployment, target, 0)
    made = pod_template.build_pod(cluster.deployment, target, 0, ("a", "b"))
    before, after = (one["spec"]["affinity"]["nodeAffinity"] for one in (plain, made))
    (term,) = after[placement.REQUIRED]["nodeSelectorTerms"]
    assert [(one["operator"], one["values"]) for one in term.pop("matchFields")] == [
        ("NotIn", ["a"]),
        ("NotIn", ["b"]),
    ]
    assert before == after
    assert plain["metadata"]["annotations"] == {"example.com/team": "audio"}
    assert made["metadata"]["annotations"] == {
        "example.com/team": "audio",
        "flamingo.dev/avoids": "a,b",
    }
