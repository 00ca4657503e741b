"""What the operator sees, in which order, and whose turn it is."""

import asyncio
import json

import pytest
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.cluster import observed, projection
from flamingo_operator.cluster.observed import Pod
from flamingo_operator.cluster.store import Store
from flamingo_operator.manifests import owned_objects, pod_template
from flamingo_operator.work_queue import WorkQueue

KEY = "default/music"


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
    return Store(changed=lambda key: None)


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


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_key_is_with_one_worker_at_a_time_and_looked_at_once_more():
    async def scenario():
        queue = WorkQueue()
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        taking = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not taking.done()
        queue.done("a")
        assert await asyncio.wait_for(taking, 5) == "a"

    asyncio.run(scenario())


def test_a_key_that_fails_comes_back_later_and_later_and_news_does_not_hurry_it():
    async def scenario():
        clock = Clock()
        queue = WorkQueue(clock=clock)
        waits_s = []
        queue.add("a")
        for _ in range(12):
            assert await queue.get() == "a"
            waits_s.append(queue.failed("a"))
            queue.add("a")
            assert len(queue) == 0
            clock.now_s += 60
        assert waits_s[0] <= 0.5
        assert 30 <= waits_s[-1] <= 60
        assert await queue.get() == "a"
        queue.done("a")
        queue.add("a")
        assert len(queue) == 1

    asyncio.run(scenario())


def test_a_key_comes_sooner_when_that_is_asked_and_never_later():
    async def scenario():
        clock = Clock()
        queue = WorkQueue(clock=clock)
        queue.add("a", after_s=100)
        queue.add("b", after_s=50)
        queue.add("a", after_s=200)
        queue.add("a", after_s=10)
        clock.now_s = 60
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert queue.longest_overdue_s() == 0

    asyncio.run(scenario())
