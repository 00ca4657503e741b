"""Reading the events of objects."""

import asyncio
import contextlib

from fakes.kmock_cluster import serving
from fakes.objects import Objects
from kubernetes.aio import client

from flamingo_operator.cluster.kube import KubeClient
from flamingo_operator.cluster.observed import ObjectRef
from flamingo_operator.cluster.warning_events import FIRST_REFRESH_S, REFRESH_S, WarningEvents

JOB = ObjectRef("Job", "n", "music-preload", "u-1", 1, "music")


def event(name, uid, kind, at):
    return {
        "metadata": {"name": name, "namespace": "n"},
        "involvedObject": {"uid": uid},
        "type": kind,
        "reason": "FailedCreate",
        "message": name,
        "lastTimestamp": at,
    }


def test_the_warnings_of_an_object_are_listed_in_order_and_kept_for_a_while():
    async def scenario():
        objects = Objects()
        async with serving(objects) as (api, url):
            kube = KubeClient(client.Configuration(host=url))
            async with contextlib.aclosing(kube):
                reader, found = WarningEvents(kube), []
                found.append(await reader.read([JOB], 0.0))
                for name, uid, kind, at in (
                    ("late", "u-1", "Warning", "2026-01-01T00:00:09Z"),
                    ("early", "u-1", "Warning", "2026-01-01T00:00:01Z"),
                    ("normal", "u-1", "Normal", "2026-01-01T00:00:05Z"),
                    ("other", "u-2", "Warning", "2026-01-01T00:00:05Z"),
                ):
                    objects.create("events", "n", event(name, uid, kind, at))
                found.append(await reader.read([JOB], FIRST_REFRESH_S / 2))
                found.append(await reader.read([JOB], FIRST_REFRESH_S))
                api.override["get /api/v1/namespaces/n/events"] << 403
                found.append(await reader.read([JOB], FIRST_REFRESH_S + REFRESH_S - 1))
                found.append(await reader.read([JOB], FIRST_REFRESH_S + REFRESH_S))
                return found

    none, kept, read, still, refused = asyncio.run(scenario())
    assert none == kept == refused == {}
    assert [one["message"] for one in read["u-1"]] == ["early", "late"]
    assert still == read
