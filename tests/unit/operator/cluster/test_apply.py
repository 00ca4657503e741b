"""What people do to the operator's objects by hand, and what becomes of it."""

import asyncio
import contextlib
from dataclasses import replace

import pytest
from fakes.clusters import Cluster
from fakes.kmock_cluster import serving
from fakes.objects import Objects
from kubernetes.aio import client

from flamingo_operator.cluster.actions import Apply, Delete, Drain, Repair
from flamingo_operator.cluster.apply import StaleError, apply_actions
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.store import Store

KEY, UID = "default/music", "u-1"
QUICK = {"minReadySeconds": 0}


def raw(name="pod-0", *, version=1, labels=None, owner=UID):
    said = {"flamingo.dev/deployment": "music", "flamingo.dev/serving": "true"} | (labels or {})
    owners = [{"kind": "FlamingoDeployment", "uid": owner, "controller": True}] if owner else []
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-of-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-25T00:00:00Z",
            "labels": said,
            "ownerReferences": owners,
        },
        "spec": {"containers": []},
        "status": {},
    }


@pytest.fixture
def changed():
    return []


@pytest.fixture
def store(changed):
    return Store(on_change=changed.append)


def names(store, key=KEY, uid=UID):
    return [pod.ref.name for pod in store.observed(key, uid).pods]


def ref(store, name="pod-0"):
    return next(pod.ref for pod in store.observed(KEY, UID).pods if pod.ref.name == name)


def test_a_pod_whose_labels_are_taken_off_and_put_on_again_is_seen_again(store):
    store.put(raw(version=1), "Pod")
    store.drop(replace(ref(store), resource_version=2))  # as a watch by labels tells it
    store.put(raw(version=1), "Pod")
    assert names(store) == []
    store.put(raw(version=3), "Pod")
    assert names(store) == ["pod-0"]


def test_what_came_back_is_not_lost_to_the_late_news_that_it_was_gone(store):
    store.put(raw(version=1), "Pod")
    old = ref(store)
    store.put(raw(version=3), "Pod")
    store.drop(replace(old, resource_version=2))
    assert names(store) == ["pod-0"]


def test_a_list_that_lacks_a_pod_outdates_what_was_heard_of_it_before(store):
    store.put(raw(version=1), "Pod")
    store.retain("Pod", "", set(), 5)
    store.put(raw(version=4), "Pod")
    assert names(store) == []


def test_an_object_whose_label_names_another_deployment_is_kept_there_alone(store, changed):
    store.put(raw(version=1), "Pod")
    changed.clear()
    store.put(raw(version=2, labels={"flamingo.dev/deployment": "other"}), "Pod")
    assert names(store) == []
    assert names(store, "default/other") == ["pod-0"]
    assert changed == [KEY, "default/other"]


def test_the_name_of_a_pod_without_our_labels_is_not_given_again(store):
    store.mark_released(KEY, "music-abc-0")
    assert store.observed(KEY, UID).conflicts == {"music-abc-0"}


def test_what_another_owns_is_not_ours_and_what_nobody_owns_is(store):
    store.put(raw("theirs", owner="u-2"), "Pod")
    store.put(raw("orphan", owner=None), "Pod")
    assert names(store) == ["orphan"]
    assert store.observed(KEY, UID).conflicts == {"theirs"}


def running():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(5)
    assert cluster.operate().actions == ()
    return cluster


def disown(item):
    return replace(item, ref=replace(item.ref, owner_uid=""))


def test_a_pod_that_lost_its_owner_or_its_place_in_the_service_gets_it_back():
    cluster = running()
    first, second = cluster.pods
    cluster.pods[first] = disown(cluster.pods[first])
    cluster.pods[second] = replace(cluster.pods[second], is_serving=False)
    done = cluster.operate().actions
    assert [(type(one), one.pod.ref.name) for one in done] == [(Repair, first), (Repair, second)]
    assert {pod.ref.owner_uid for pod in cluster.pods.values()} == {UID}
    assert cluster.operate().actions == ()


def test_a_pod_whose_revision_was_taken_off_is_replaced_under_another_name():
    cluster = running()
    name = min(cluster.pods)
    cluster.pods[name] = replace(cluster.pods[name], revision="")
    cluster.live(5)
    assert name not in cluster.pods
    assert len(cluster.ready) == 2


def test_a_pod_that_leaves_is_not_mended_in_the_same_pass():
    cluster = running()
    cluster.pods = {name: disown(pod) for name, pod in cluster.pods.items()}
    cluster.change(replicas=1)
    done = cluster.operate().actions
    assert sorted(type(one).__name__ for one in done) == ["Drain", "Repair"]
    assert len({one.pod.ref.name for one in done}) == 2


def test_what_an_orphaning_deletion_left_is_taken_over_without_a_new_server():
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


def test_what_we_did_not_make_is_left_alone_though_nobody_owns_it():
    cluster = running()
    key = ("Service", "music")
    cluster.owned[key] = replace(disown(cluster.owned[key]), digest="")
    decision = cluster.decide()
    assert decision.conflicts == ("Service music",)
    assert decision.actions == ()


def test_what_an_orphaning_deletion_left_and_the_spec_wants_no_more_goes():
    cluster = running()
    cluster.owned = {key: disown(child) for key, child in cluster.owned.items()}
    cluster.change(router={"enabled": False})
    gone = {
        f"{one.ref.kind} {one.ref.name}"
        for one in cluster.operate().actions
        if isinstance(one, Delete)
    }
    assert {"Service music", "Deployment music-router"} <= gone


def test_a_server_that_is_asked_to_leave_leaves_while_the_rollout_is_paused():
    cluster = running()
    cluster.change(rollout={**QUICK, "paused": True})
    name = min(cluster.pods)
    cluster.pods[name] = replace(cluster.pods[name], is_drain_requested=True)
    cluster.operate()
    cluster.schedule()
    cluster.load()
    left = [one.pod.ref.name for one in cluster.operate().actions if isinstance(one, Drain)]
    assert left == [name]


def test_a_revision_that_was_never_tried_has_not_proved_itself():
    cluster = running()
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


def test_a_paused_rollout_says_so_as_long_as_it_is_not_done():
    cluster = Cluster.of({"replicas": 2, "rollout": {**QUICK, "paused": True}})
    cluster.live(5)
    assert cluster.reason("Progressing") == "Paused"
    cluster.change(rollout=QUICK)
    cluster.live(5)
    assert cluster.reason("Progressing") == "Complete"


@pytest.mark.parametrize(
    ("router", "url"),
    [
        ({}, "http://music.default.svc"),
        ({"service": {"port": 8080}}, "http://music.default.svc:8080"),
        ({"enabled": False}, "http://music-servers.default.svc:8000"),
    ],
)
def test_the_address_in_the_status_is_the_one_that_answers(router, url):
    cluster = Cluster.of({"router": router})
    cluster.operate()
    assert cluster.status["url"] == url


def test_a_webhook_that_does_not_answer_is_told_as_a_refusal_and_an_outage_is_not():
    webhook = 'Internal error occurred: failed calling webhook "a.b.example": refused'
    assert ApiError(500, webhook).is_refusal
    assert not ApiError(500, "etcdserver: request timed out").is_refusal
    assert not ApiError(429, "too many requests").is_refusal


def test_an_operator_whose_clock_is_late_rolls_servers_that_need_no_time_to_prove_themselves():
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


def manifest(kind, name="music"):
    labels = {"flamingo.dev/deployment": "music", "flamingo.dev/component": "server"}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"kind": kind, "apiVersion": "v1", "metadata": metadata, "spec": {"containers": []}}


def done(objects, *actions):
    """Do actions; return what the operator knows then."""
    store = Store(on_change=lambda _: None)

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            _, url = await stack.enter_async_context(serving(objects))
            kube = KubeClient(client.Configuration(host=url))
            await apply_actions(
                await stack.enter_async_context(contextlib.aclosing(kube)), store, actions
            )

    try:
        asyncio.run(scenario())
    except StaleError:
        return store, True
    return store, False


def test_a_binding_comes_after_its_role_and_a_pod_after_its_account():
    objects = Objects()
    kinds = ("Pod", "RoleBinding", "Role", "ServiceAccount")
    done(objects, *(Apply(manifest(kind), is_new=False) for kind in kinds))
    *first, third, last = (plural for (plural, _, _), _ in objects.history)
    assert set(first) == {"roles", "serviceaccounts"}
    assert (third, last) == ("rolebindings", "pods")


def test_what_is_gone_before_it_is_changed_is_decided_anew():
    (pod,) = list(running().pods.values())[:1]
    assert done(Objects(), Drain(pod, 1.0, 2.0))[1]


def test_a_name_that_a_pod_without_our_labels_has_is_not_tried_again():
    objects = Objects()
    objects.create("pods", "default", {"metadata": {"name": "music-abc-0"}})
    store, is_stale = done(objects, Apply(manifest("Pod", "music-abc-0"), is_new=True))
    assert is_stale
    assert store.observed(KEY, UID).conflicts == {"music-abc-0"}
