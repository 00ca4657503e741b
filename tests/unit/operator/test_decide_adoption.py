"""Objects that users change or orphan: repaired, adopted, replaced or left alone."""

from dataclasses import replace

from fakes.clusters import Cluster

from flamingo_operator.cluster.actions import Delete, Repair

UID = "u-1"
QUICK = {"minReadySeconds": 0}


def running():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(5)
    assert cluster.operate().actions == ()
    return cluster


def disown(item):
    return replace(item, ref=replace(item.ref, owner_uid=""))


def test_a_pod_without_its_owner_or_serving_label_is_repaired():
    cluster = running()
    first, second = cluster.pods
    cluster.pods[first] = disown(cluster.pods[first])
    cluster.pods[second] = replace(cluster.pods[second], is_serving=False)
    done = cluster.operate().actions
    assert [(type(one), one.pod.ref.name) for one in done] == [(Repair, first), (Repair, second)]
    assert {pod.ref.owner_uid for pod in cluster.pods.values()} == {UID}
    assert cluster.operate().actions == ()


def test_a_pod_without_a_revision_label_is_replaced_under_another_name():
    cluster = running()
    name = min(cluster.pods)
    cluster.pods[name] = replace(cluster.pods[name], revision="")
    cluster.live(5)
    assert name not in cluster.pods
    assert len(cluster.ready) == 2


def test_a_pod_to_remove_is_not_repaired():
    cluster = running()
    cluster.pods = {name: disown(pod) for name, pod in cluster.pods.items()}
    cluster.change(replicas=1)
    done = cluster.operate().actions
    assert sorted(type(one).__name__ for one in done) == ["Drain", "Repair"]
    assert len({one.pod.ref.name for one in done}) == 2


def test_orphaned_objects_are_adopted_without_creating_a_pod():
    cluster = running()
    before = set(cluster.pods)
    cluster.pods = {name: disown(pod) for name, pod in cluster.pods.items()}
    cluster.owned = {
        key: replace(disown(child), digest="of what we once owned")
        for key, child in cluster.owned.items()
    }
    for manifest in cluster.raw.values():
        del manifest["metadata"]["ownerReferences"]
    assert cluster.operate().adopts
    last = cluster.operate()
    assert last.actions == ()
    assert not last.adopts
    assert set(cluster.pods) == before
    assert all(child.ref.owner_uid == UID for child in cluster.owned.values())
    assert all(manifest["metadata"]["ownerReferences"] for manifest in cluster.raw.values())


def test_an_object_of_another_manager_is_not_adopted():
    cluster = running()
    key = ("Service", "music")
    cluster.owned[key] = replace(disown(cluster.owned[key]), digest="")
    decision = cluster.decide()
    assert decision.conflicts == ("Service music",)
    assert decision.actions == ()


def test_orphaned_objects_that_the_spec_does_not_need_are_deleted():
    cluster = running()
    cluster.owned = {key: disown(child) for key, child in cluster.owned.items()}
    cluster.change(router={"enabled": False})
    gone = {
        f"{one.ref.kind} {one.ref.name}"
        for one in cluster.operate().actions
        if isinstance(one, Delete)
    }
    assert {"Service music", "Deployment music-router"} <= gone
