"""Actions against an API server, and what the store knows afterwards."""

import asyncio
import contextlib

from fakes.clusters import Cluster
from fakes.kmock_cluster import serving
from fakes.objects import Objects
from kubernetes.aio import client

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
