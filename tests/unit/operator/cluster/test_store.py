"""What the operator sees, in which order, and whose turn it is."""

import json

import pytest
from fakes.clusters import RELEASE, Cluster
from fakes.operator_inputs import KEY, started_pod

from flamingo_common.wire.report import StartReport
from flamingo_operator.cluster import observed, projection
from flamingo_operator.cluster.observed import Node, Pod
from flamingo_operator.cluster.store import Store
from flamingo_operator.manifests import owned_objects, pod_template


def fields_of(value):
    """Return the FieldsV1 set of a manager that applied `value`, lists being atomic."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": fields_of(inner) for key, inner in value.items()}


def live(manifest, *, version=1, uid="u-9", **more):
    said = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    metadata = dict(said["metadata"])
    applied = {key: value for key, value in metadata.items() if key not in ("name", "namespace")}
    ours = {"manager": "flamingo-operator", "operation": "Apply"}
    ours["fieldsV1"] = fields_of({**said, "metadata": applied})
    metadata |= {"uid": uid, "resourceVersion": str(version), "managedFields": [ours]}
    return {**manifest, "metadata": metadata, **more}


def manifests():
    cluster = Cluster.of()
    return owned_objects.build_manifests(cluster.deployment, RELEASE, has_pod_monitors=True)


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: one["kind"])
def test_what_was_applied_is_read_back_whatever_stands_around_it(manifest):
    raw = live(manifest, status={"replicas": 3})
    raw["metadata"]["generation"] = 7
    assert projection.digest_of_live(raw) == projection.digest_of_manifest(manifest)


def test_a_field_that_somebody_took_over_is_seen():
    service = next(one for one in manifests() if one["kind"] == "Service")
    raw = json.loads(json.dumps(live(service)))
    raw["spec"]["clusterIP"] = "10.0.0.1"
    assert projection.digest_of_live(raw) != projection.digest_of_manifest(service)
    lost = json.loads(json.dumps(live(service)))
    del lost["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:selector"]
    assert projection.digest_of_live(lost) != projection.digest_of_manifest(service)


def test_a_list_by_key_is_read_in_its_own_order_and_without_what_others_added():
    raw = [{"name": "theirs"}, {"name": "b", "port": 2, "protocol": "TCP"}, {"name": "a"}]
    fields = {
        'k:{"name":"a"}': {".": {}, "f:name": {}},
        'k:{"name":"b"}': {".": {}, "f:name": {}, "f:port": {}},
    }
    assert projection.owned_fields(raw, fields) == [{"name": "b", "port": 2}, {"name": "a"}]
    assert projection.owned_fields(["x", "y"], {'v:"y"': {}}) == ["y"]


def pod(name="music-r-0", *, version=1, uid="u-9", ready=False):
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    labels = {"flamingo.dev/deployment": "music", "flamingo.dev/revision": "r"}
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": labels,
            "ownerReferences": [{"kind": "FlamingoDeployment", "uid": "u-1", "controller": True}],
        },
        "spec": {"containers": [{"name": "server", "image": "x"}]},
        "status": status,
    }


@pytest.fixture
def store():
    return Store(on_change=lambda key: None)


def names_in(store, uid="u-1"):
    return [one.ref.name for one in store.observed(KEY, uid).pods]


def test_what_is_older_than_what_is_known_changes_nothing(store):
    store.put(pod(version=5, ready=True), "Pod")
    store.put(pod(version=4), "Pod")
    assert store.observed(KEY, "u-1").pods[0].is_ready


def test_what_is_gone_stays_gone_whatever_a_slow_answer_says(store):
    store.put(pod(), "Pod")
    store.drop(observed.parse_ref(pod(version=6), "Pod"))
    store.put(pod(version=5), "Pod")
    assert names_in(store) == []
    store.put(pod(uid="u-10", version=7), "Pod")
    assert names_in(store) == ["music-r-0"]


def test_a_list_removes_what_is_not_in_it_but_not_what_is_newer_than_it(store):
    store.put(pod("a", uid="1", version=5), "Pod")
    store.put(pod("b", uid="2", version=5), "Pod")
    store.put(pod("c", uid="3", version=12), "Pod")
    store.retain("Pod", "", {"1"}, 10)
    assert names_in(store) == ["a", "c"]


def test_pods_of_somebody_else_are_not_ours_but_their_names_are_taken(store):
    store.put(pod(), "Pod")
    assert names_in(store, "u-2") == []
    assert store.observed(KEY, "u-2").conflicts == {"music-r-0"}


def test_a_pod_that_works_is_kept_without_its_statuses():
    assert isinstance(observed.parse_pod(pod(ready=True)), Pod)
    assert observed.parse_pod(pod(ready=True)).diagnosis_json == ""
    assert json.loads(observed.parse_pod(pod()).diagnosis_json)["status"]["conditions"]


def test_only_what_shapes_a_pod_makes_another_revision():
    cluster = Cluster.of({"replicas": 1})
    before = pod_template.revision_hash(cluster.deployment.spec)
    cluster.change(replicas=5, router={"replicas": 3}, rollout={"maxSurge": 2}, suspend=True)
    assert pod_template.revision_hash(cluster.deployment.spec) == before
    cluster.change(server={"args": ["--max-concurrent-answers=9"]})
    assert pod_template.revision_hash(cluster.deployment.spec) != before


def test_the_phases_of_a_pod_s_start_are_taken_once():
    store = Store(on_change=lambda key: None)
    store.put(started_pod("music-r-0", "10.0.0.1"), "Pod")
    store.put_start_reports(KEY, {"10.0.0.1": StartReport(fetch_s=20, load_s=30, warm_s=4)})
    store.put_start_reports(KEY, {"10.0.0.1": StartReport(fetch_s=0, load_s=0, warm_s=0)})
    (seen,) = store.observed("default/music", "u-1").pods
    assert (seen.start.fetch_s, seen.start.warm_s, seen.start.is_split) == (20, 4, True)


def on(cluster, node):
    (name,) = (name for name, pod in cluster.pods.items() if pod.node == node)
    return name


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
