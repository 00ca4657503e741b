"""The local mirror of the API server's objects: versions, deletions and ownership."""

from dataclasses import replace

import pytest
from fakes.operator_inputs import KEY, started_pod

from flamingo_common.wire.report import StartReport
from flamingo_operator.cluster import observed
from flamingo_operator.cluster.nodes import Node
from flamingo_operator.cluster.store import Store


def pod(name="music-r-0", *, version=1, uid="u-9", ready=False, labels=None, owner="u-1"):
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    ours = {"flamingo.dev/deployment": "music", "flamingo.dev/revision": "r"}
    owners = [{"kind": "FlamingoDeployment", "uid": owner, "controller": True}] if owner else []
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": ours | (labels or {}),
            "ownerReferences": owners,
        },
        "spec": {"containers": [{"name": "server", "image": "x"}]},
        "status": status,
    }


@pytest.fixture
def changed():
    return []


@pytest.fixture
def store(changed):
    return Store(on_change=changed.append)


def names_in(store, uid="u-1", *, key=KEY):
    return [one.ref.name for one in store.observed(key, uid).pods]


def reference(store):
    (pod,) = store.observed(KEY, "u-1").pods
    return pod.ref


def test_an_older_version_is_ignored(store):
    store.put(pod(version=5, ready=True), "Pod")
    store.put(pod(version=4), "Pod")
    assert store.observed(KEY, "u-1").pods[0].is_ready


def test_a_late_response_does_not_bring_back_a_deleted_object(store):
    store.put(pod(), "Pod")
    store.drop(observed.parse_ref(pod(version=6), "Pod"))
    store.put(pod(version=5), "Pod")
    assert names_in(store) == []
    store.put(pod(uid="u-10", version=7), "Pod")
    assert names_in(store) == ["music-r-0"]


def test_a_list_removes_older_objects_that_it_lacks(store):
    store.put(pod("a", uid="1", version=5), "Pod")
    store.put(pod("b", uid="2", version=5), "Pod")
    store.put(pod("c", uid="3", version=12), "Pod")
    store.retain("Pod", "", {"1"}, 10)
    assert names_in(store) == ["a", "c"]


def test_pods_of_another_controller_are_conflicts(store):
    store.put(pod(), "Pod")
    assert names_in(store, "u-2") == []
    assert store.observed(KEY, "u-2").conflicts == {"music-r-0"}


def test_a_pod_whose_labels_are_removed_and_restored_is_observed_again(store):
    store.put(pod(version=1), "Pod")
    store.drop(replace(reference(store), resource_version=2))  # as a watch by labels tells it
    store.put(pod(version=1), "Pod")
    assert names_in(store) == []
    store.put(pod(version=3), "Pod")
    assert names_in(store) == ["music-r-0"]


def test_a_late_deletion_does_not_remove_a_newer_version(store):
    store.put(pod(version=1), "Pod")
    old = reference(store)
    store.put(pod(version=3), "Pod")
    store.drop(replace(old, resource_version=2))
    assert names_in(store) == ["music-r-0"]


def test_a_list_that_lacks_a_pod_supersedes_older_events(store):
    store.put(pod(version=1), "Pod")
    store.retain("Pod", "", set(), 5)
    store.put(pod(version=4), "Pod")
    assert names_in(store) == []


def test_an_object_moves_to_the_deployment_that_its_label_names(store, changed):
    store.put(pod(version=1), "Pod")
    changed.clear()
    store.put(pod(version=2, labels={"flamingo.dev/deployment": "other"}), "Pod")
    assert names_in(store) == []
    assert names_in(store, key="default/other") == ["music-r-0"]
    assert changed == [KEY, "default/other"]


def test_the_name_of_a_released_pod_is_a_conflict(store):
    store.mark_released(KEY, "music-abc-0")
    assert store.observed(KEY, "u-1").conflicts == {"music-abc-0"}


def test_a_pod_without_a_controller_is_ours_and_one_of_another_is_a_conflict(store):
    store.put(pod("theirs", uid="1", owner="u-2"), "Pod")
    store.put(pod("orphan", uid="2", owner=None), "Pod")
    assert names_in(store) == ["orphan"]
    assert store.observed(KEY, "u-1").conflicts == {"theirs"}


def test_a_start_report_is_added_once():
    store = Store(on_change=lambda key: None)
    store.put(started_pod("music-r-0", "10.0.0.1"), "Pod")
    store.put_start_reports(KEY, {"10.0.0.1": StartReport(fetch_s=20, load_s=30, warm_s=4)})
    store.put_start_reports(KEY, {"10.0.0.1": StartReport(fetch_s=0, load_s=0, warm_s=0)})
    (seen,) = store.observed("default/music", "u-1").pods
    assert (seen.start.fetch_s, seen.start.warm_s, seen.start.is_split) == (20, 4, True)


def test_a_deployment_that_avoids_a_node_is_enqueued_when_it_reboots_or_is_deleted():
    changed = []
    store = Store(on_change=changed.append)
    metadata = {"namespace": "audio", "name": "music", "uid": "u", "resourceVersion": "1"}
    store.put_resource({"metadata": metadata, "status": {"avoidedNodes": [{"node": "gpu-1"}]}})
    store.put_node(Node("gpu-1", boot_id="a"))
    changed.clear()
    store.put_node(Node("gpu-2", boot_id="a"))
    store.put_node(Node("gpu-2", boot_id="b"))
    assert changed == []
    store.put_node(Node("gpu-1", boot_id="b"))
    assert changed == ["audio/music"]
    store.drop_node("gpu-1")
    assert changed == ["audio/music"] * 2
    assert "gpu-1" not in store.nodes
