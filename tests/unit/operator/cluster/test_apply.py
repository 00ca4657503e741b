"""Actions against an API server, and what the store knows afterwards."""

import asyncio
import contextlib

from fakes.clusters import Cluster
from fakes.kmock_cluster import serving
from fakes.objects import Objects
from kubernetes.aio import client
from structlog.testing import capture_logs

from flamingo_operator.cluster.actions import Apply, Drain
from flamingo_operator.cluster.apply import StaleError, apply_actions
from flamingo_operator.cluster.kube import KubeClient
from flamingo_operator.cluster.store import Store

KEY, UID = "default/music", "u-1"


def manifest(kind, name="music"):
    labels = {"flamingo.dev/deployment": "music", "flamingo.dev/component": "server"}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"kind": kind, "apiVersion": "v1", "metadata": metadata, "spec": {"containers": []}}


def execute(objects, *actions):
    """Execute actions; return the store, and whether they were stale."""
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


def test_a_role_binding_follows_its_role_and_a_pod_its_service_account():
    objects = Objects()
    kinds = ("Pod", "RoleBinding", "Role", "ServiceAccount")
    execute(objects, *(Apply(manifest(kind), is_new=False) for kind in kinds))
    *first, third, last = (plural for (plural, _, _), _ in objects.history)
    assert set(first) == {"roles", "serviceaccounts"}
    assert (third, last) == ("rolebindings", "pods")


def test_what_was_done_is_logged_with_the_namespace_and_name_of_the_deployment():
    with capture_logs() as lines:
        execute(Objects(), Apply(manifest("ServiceAccount", "servers"), is_new=True))
    (line,) = (one for one in lines if one["event"] == "action.done")
    assert (line["namespace"], line["deployment"]) == ("default", "music")
    assert line["action"] == "create ServiceAccount servers"


def test_updating_a_deleted_object_is_stale():
    cluster = Cluster.of()
    cluster.live(5)
    pod, *_ = cluster.pods.values()
    assert execute(Objects(), Drain(pod, 1.0, 2.0))[1]


def test_creating_a_pod_whose_name_is_taken_records_a_conflict():
    objects = Objects()
    objects.create("pods", "default", {"metadata": {"name": "music-abc-0"}})
    store, is_stale = execute(objects, Apply(manifest("Pod", "music-abc-0"), is_new=True))
    assert is_stale
    assert store.observed(KEY, UID).conflicts == {"music-abc-0"}


def owned_by(uid):
    service = manifest("Service")
    owner = {"kind": "FlamingoDeployment", "uid": uid, "controller": True}
    service["metadata"]["ownerReferences"] = [owner]
    return Apply(service, is_new=True)


def test_an_object_of_a_deleted_deployment_is_waited_for_not_refused():
    objects = Objects()
    execute(objects, owned_by("u-of-the-deleted"))
    store, is_stale = execute(objects, owned_by(UID))
    assert is_stale
    assert store.observed(KEY, UID).owned["Service", "music"].ref.owner_uid == "u-of-the-deleted"


def test_an_object_of_another_deployment_is_a_conflict_and_waits_for_nothing():
    objects = Objects()
    theirs = owned_by("u-2")
    theirs.manifest["metadata"]["labels"] = {"flamingo.dev/deployment": "other"}
    execute(objects, theirs)
    store, is_stale = execute(objects, owned_by(UID))
    assert not is_stale
    owner = objects.get(("services", "default", "music"))["metadata"]["ownerReferences"]
    assert owner[0]["uid"] == "u-2"
    assert ("Service", "music") in store.observed("default/other", "u-2").owned


def router_deployment(**spec):
    return {**manifest("Deployment"), "apiVersion": "apps/v1", "spec": {"paused": False, **spec}}


DEPLOYMENT = ("deployments", "default", "music")


def owners_of_replicas(objects):
    entries = objects.get(DEPLOYMENT)["metadata"]["managedFields"]
    return {one["manager"] for one in entries if "f:replicas" in one["fieldsV1"]["f:spec"]}


def test_an_initial_field_is_set_only_in_an_object_that_does_not_exist():
    objects, initial = Objects(), {"spec": {"replicas": 2}}
    execute(objects, Apply(router_deployment(), is_new=True, initial=initial))
    assert objects.get(DEPLOYMENT)["spec"] == {"paused": False, "replicas": 2}
    again = {"spec": {"replicas": 7}}
    execute(objects, Apply(router_deployment(replicas=2), is_new=True, initial=again))
    assert objects.get(DEPLOYMENT)["spec"]["replicas"] == 2


def test_a_field_that_is_released_keeps_its_value_and_is_no_longer_ours():
    objects = Objects()
    execute(objects, Apply(router_deployment(replicas=3), is_new=True))
    assert owners_of_replicas(objects) == {"flamingo-operator"}
    released = {"spec": {"replicas": 3}}
    execute(objects, Apply(router_deployment(), is_new=False, released=released))
    assert objects.get(DEPLOYMENT)["spec"] == {"paused": False, "replicas": 3}
    assert owners_of_replicas(objects) == {"flamingo-operator-initial"}
