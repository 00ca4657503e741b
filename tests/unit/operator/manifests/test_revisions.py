"""The life of a revision: rolled out, completed or failed."""

from fakes.clusters import Cluster

from flamingo_operator.manifests import revisions
from flamingo_operator.manifests.revisions import RevisionInputs

QUICK = {"minReadySeconds": 0}


def test_a_revision_without_pods_is_not_complete():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(5)
    cluster.change(replicas=0)
    cluster.live(5)
    good = cluster.status["currentRevision"]
    cluster.change(server={"image": "broken:1"})
    cluster.live(80)  # longer than its deadline, which does not run
    assert cluster.reason("Progressing") == "Complete"
    assert cluster.status["currentRevision"] == good != cluster.status["updateRevision"]
    cluster.change(replicas=2)
    cluster.live(80, revisions={good})
    assert cluster.reason("Progressing") == "RolledBack"
    assert cluster.hashes == [good]


def test_a_paused_rollout_is_reported_until_it_is_complete():
    cluster = Cluster.of({"replicas": 2, "rollout": {**QUICK, "paused": True}})
    cluster.live(5)
    assert cluster.reason("Progressing") == "Paused"
    cluster.change(rollout=QUICK)
    cluster.live(5)
    assert cluster.reason("Progressing") == "Complete"


def test_pods_are_examined_for_the_cause_of_a_failed_rollout_only_once_it_failed():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK}, num_gpus=0)
    cluster.live(3)
    asked = []

    def failure():
        asked.append(cluster.now_s)
        return "no GPU"

    def actions():
        inputs = RevisionInputs(
            cluster.deployment, cluster.observed, cluster.release, cluster.now_s, failure
        )
        decision = cluster.decide()
        return revisions.actions(inputs, decision.target, decision.step).actions

    assert not actions()
    assert not asked
    cluster.now_s += 10_000
    assert "no GPU" in str(actions()[0].manifest)
    assert len(asked) == 1
