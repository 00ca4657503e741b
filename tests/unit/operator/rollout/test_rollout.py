"""Rollouts in which a user drains a pod or the clock is wrong."""

from dataclasses import replace

from fakes.clusters import Cluster

from flamingo_operator.cluster.actions import Drain

QUICK = {"minReadySeconds": 0}


def running():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(5)
    assert cluster.operate().actions == ()
    return cluster


def test_a_requested_drain_happens_while_the_rollout_is_paused():
    cluster = running()
    cluster.change(rollout={**QUICK, "paused": True})
    name = min(cluster.pods)
    cluster.pods[name] = replace(cluster.pods[name], is_drain_requested=True)
    cluster.operate()
    cluster.schedule()
    cluster.load()
    left = [one.pod.ref.name for one in cluster.operate().actions if isinstance(one, Drain)]
    assert left == [name]


def test_a_late_clock_does_not_block_a_rollout_without_min_ready_seconds():
    cluster = running()
    cluster.change(server={"image": "b:2"})
    for _ in range(20):
        cluster.operate()
        cluster.schedule()
        cluster.load()
        cluster.end()
        cluster.wait(10)
        ahead_s = cluster.now_s + 600
        cluster.pods = {
            name: replace(pod, ready_since_s=ahead_s) for name, pod in cluster.pods.items()
        }
    assert cluster.hashes == [cluster.status["updateRevision"]]
