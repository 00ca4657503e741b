"""Requests to the API server, and the errors that it returns."""

import asyncio
import contextlib

import pytest
from fakes.kmock_cluster import serving
from fakes.objects import Objects
from kubernetes.aio import client

from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import ApiError, KubeClient

LISTS = "get /api/v1/pods?limit=250"


@contextlib.asynccontextmanager
async def connected(objects, **options):
    async with serving(objects) as (api, url):
        kube = KubeClient(client.Configuration(host=url), **options)
        async with contextlib.aclosing(kube):
            yield api, kube


def test_an_error_has_the_message_and_the_time_to_retry_after():
    async def scenario():
        async with connected(Objects()) as (api, kube):
            busy = api.override[LISTS][:1] << 429 << {"Retry-After": "7"}
            busy << {"message": "too many requests"}
            api.override[LISTS][1:] << 422 << {"message": "spec.x: invalid"}
            with pytest.raises(ApiError) as refused:
                await kube.get("/api/v1/pods", {"limit": "250"})
            assert (refused.value.status, refused.value.retry_after_s) == (429, 7.0)
            assert str(refused.value) == "too many requests"
            assert not refused.value.is_rejection
            with pytest.raises(ApiError) as refused:
                await kube.get("/api/v1/pods", {"limit": "250"})
            assert refused.value.is_rejection

    asyncio.run(scenario())


def test_a_failed_webhook_is_a_refusal_and_an_outage_is_not():
    webhook = 'Internal error occurred: failed calling webhook "a.b.example": refused'
    assert ApiError(500, webhook).is_rejection
    assert not ApiError(500, "etcdserver: request timed out").is_rejection
    assert not ApiError(429, "too many requests").is_rejection


def test_only_writes_are_counted():
    writes = []

    async def scenario():
        async with connected(Objects(), on_write=lambda: writes.append(1)) as (_, kube):
            await kube.create(kinds.POD, {"metadata": {"name": "a", "namespace": "n"}})
            await kube.find(kinds.POD, "n", "a")
            await kube.get("/api/v1/pods", {"limit": "250"})

    asyncio.run(scenario())
    assert len(writes) == 1
