"""The router's watch against a real API server, with no more rights than it needs."""

import asyncio
import contextlib
import gc
import warnings

import aiohttp
import pytest
from control_plane.api_access import account_access
from fakes.patience import PATIENCE_S

from flamingo_router.pods import discovery, kube
from flamingo_router.pods.endpoint_slices import Service

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "router"},
    "rules": [
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["list", "watch"],
        }
    ],
}


def endpoint_slice(name, *pods, service="pods", kind="IPv4"):
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": kind,
        "ports": [{"name": "http", "port": 8000}],
        "endpoints": [
            {"addresses": [address], "conditions": conditions} for address, conditions in pods
        ],
    }


READY = {"ready": True, "serving": True, "terminating": False}
TERMINATING = {"ready": False, "serving": True, "terminating": True}


@pytest.fixture(scope="module")
def access(cluster, tmp_path_factory):
    """Return a service account's access: it may list and watch EndpointSlices."""
    folder = tmp_path_factory.mktemp("access")
    cluster.output("apply", "-f", "-", body=ROLE)
    cluster.output("create", "serviceaccount", "router")
    cluster.output(
        "create", "rolebinding", "router", "--role=router", "--serviceaccount=default:router"
    )
    return account_access(cluster, folder, "default", "router")


@pytest.fixture(autouse=True)
def transports_are_collected():
    """Destroy the transports that aiohttp leaves: it ends TLS after its session is closed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextlib.asynccontextmanager
async def watching(access):
    reported: asyncio.Queue = asyncio.Queue()
    async with aiohttp.ClientSession() as session:
        service = Service("default", "pods")
        resource = discovery.endpoint_slices(access, session, service)
        membership, timeouts = discovery.Membership(reported.put_nowait), discovery.WatchTimeouts()
        task = asyncio.create_task(discovery.keep_watching(membership, service, resource, timeouts))
        try:
            yield reported
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(reported, members):
    async with asyncio.timeout(PATIENCE_S):
        while await reported.get() != members:
            pass


def test_pods_that_are_added_terminate_and_vanish_are_followed(cluster, access):
    async def scenario():
        async def apply(body):
            await asyncio.to_thread(cluster.output, "apply", "-f", "-", body=body)

        async with watching(access) as reported:
            await apply(endpoint_slice("a", ("10.1.0.1", READY)))
            await until(reported, {"http://10.1.0.1:8000": True})
            await apply(endpoint_slice("other", ("10.9.0.9", READY), service="another"))
            await apply(endpoint_slice("b", ("10.1.0.2", READY), ("10.1.0.3", TERMINATING)))
            both = {"http://10.1.0.1:8000": True, "http://10.1.0.2:8000": True}
            await until(reported, both | {"http://10.1.0.3:8000": False})
            await apply(endpoint_slice("b", ("10.1.0.2", TERMINATING)))
            await until(reported, {"http://10.1.0.1:8000": True, "http://10.1.0.2:8000": False})
            await asyncio.to_thread(cluster.output, "delete", "endpointslice", "a", "b", "other")
            await until(reported, {})

    asyncio.run(scenario())


def test_a_pod_that_has_only_an_ipv6_address_is_followed(cluster, access):
    async def scenario():
        async with watching(access) as reported:
            body = endpoint_slice("six", ("fd00:10::1", READY), kind="IPv6")
            await asyncio.to_thread(cluster.output, "apply", "-f", "-", body=body)
            await until(reported, {"http://[fd00:10::1]:8000": True})
            await asyncio.to_thread(cluster.output, "delete", "endpointslice", "six")
            await until(reported, {})

    asyncio.run(scenario())


def test_a_version_that_the_server_does_not_know_is_an_error(access):
    async def scenario():
        async with aiohttp.ClientSession() as session:
            resource = discovery.endpoint_slices(access, session, Service("default", "pods"))
            with pytest.raises((kube.VersionExpired, kube.ApiError)):
                async for _ in resource.watch("not-a-version", watch_s=5, silence_s=10):
                    pass

    asyncio.run(scenario())


def test_what_the_role_does_not_allow_is_refused(access):
    async def scenario():
        async with aiohttp.ClientSession() as session:
            elsewhere = Service("kube-system", "pods")
            resource = discovery.endpoint_slices(access, session, elsewhere)
            with pytest.raises(kube.ApiError) as refused:
                await resource.list_all()
            assert refused.value.status == 403

    asyncio.run(scenario())
