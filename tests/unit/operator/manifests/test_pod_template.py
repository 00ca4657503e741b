"""The pod template of a server pod."""

from fakes.clusters import Cluster

from flamingo_operator.manifests import pod_template

QUICK = {"minReadySeconds": 0}


def test_avoided_nodes_are_added_to_the_node_affinity_of_the_spec():
    server = {"podMetadata": {"annotations": {"example.com/team": "audio"}}}
    gpu = {"products": ["NVIDIA-L40S", "NVIDIA-A100"]}
    cluster = Cluster.of({"replicas": 1, "rollout": QUICK, "gpu": gpu, "server": server})
    cluster.live(3)
    target = cluster.decide().target.revision
    plain = pod_template.build_pod(cluster.deployment, target, 0)
    made = pod_template.build_pod(cluster.deployment, target, 0, ("a", "b"))
    before, after = (one["spec"]["affinity"]["nodeAffinity"] for one in (plain, made))
    (term,) = after[pod_template.REQUIRED]["nodeSelectorTerms"]
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


def test_only_fields_of_the_pod_template_change_the_revision():
    cluster = Cluster.of({"replicas": 1})
    before = pod_template.revision_hash(cluster.deployment.spec)
    cluster.change(replicas=5, router={"replicas": 3}, rollout={"maxSurge": 2}, suspend=True)
    assert pod_template.revision_hash(cluster.deployment.spec) == before
    cluster.change(server={"args": ["--max-concurrent-answers=9"]})
    assert pod_template.revision_hash(cluster.deployment.spec) != before
