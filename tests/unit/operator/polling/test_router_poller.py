"""The polling of routers, against fake routers on loopback addresses."""

import asyncio
import contextlib

import pytest
from control_plane.deployments import INTERNAL, deployment
from fakes.operator_inputs import (
    KEY,
    NOW_S,
    load_report,
    router_pod,
    server_pod,
    started_pod,
)
from fakes.scripted_routers import FakeRouter

from flamingo_operator.api import names, spec
from flamingo_operator.cluster.nodes import parse_node
from flamingo_operator.cluster.store import Store
from flamingo_operator.polling.router_load_client import RouterLoadClient
from flamingo_operator.polling.router_poller import EXTERNAL_MODE_ROUNDS, RouterPoller
from flamingo_operator.reporting import scaling
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import (
    ScalingState,
    desired_replicas,
)
from flamingo_operator.telemetry.metrics import Metrics


def test_routers_are_polled_with_the_key_and_their_pod_reports_give_the_capacity():
    fakes = [FakeRouter("127.90.0.1"), FakeRouter("127.90.0.2")]
    polled = []

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient("k-1")) as load:
            store = Store(on_change=lambda key: None)
            store.put_resource(
                deployment({"scaling": INTERNAL})
                | {
                    "metadata": {"name": "music", "namespace": "default", "uid": "u-1"}
                    | {"resourceVersion": "1"}
                }
            )
            raw = {"metadata": {"name": "node-1", "labels": {names.PRODUCT_LABEL: "L40S"}}}
            store.put_node(parse_node({**raw, "spec": {}, "status": {}}))
            for number, fake in enumerate(fakes):
                store.put(router_pod(f"r{number}", fake.address), "Router")
            store.put(router_pod("r9", "127.90.0.9", ready="False"), "Router")
            store.put(server_pod("s1", "10.0.0.1"), "Pod")
            poller = RouterPoller(store, load, Metrics(), polled.append, 5.0)
            await poller.poll_once()
            resource, seen = store.resource(KEY), store.observed(KEY, "u-1")
            return poller.demand_and_capacity(KEY, resource, seen, poller.now())

    with contextlib.ExitStack() as stack:
        for fake in fakes:
            fake.report_demand(1.5)
            endpoint = {"address": "http://10.0.0.1:8000", "backlog_s": 2.0}
            fake.body["endpoints"] = [{**endpoint, "load": load_report(3)}]
            stack.enter_context(fake.running())
        found = asyncio.run(scenario())
    assert polled == [KEY]
    assert [fake.keys for fake in fakes] == [{"Bearer k-1"}] * 2
    assert found.demand.arriving.work_s == 3.0
    assert found.demand.backlog_s == 2.0
    assert not found.demand.is_partial
    # 1200 s of audio in 100 s of computing, counted once, beside the prior's 600 in 10.
    assert found.rates == {"L40S": pytest.approx(1800 / 110)}
    assert found.audio_s_per_s == pytest.approx(1800 / 110)


def test_in_mode_external_routers_are_polled_rarely_and_give_the_same():
    start = {"fetch_s": 20.0, "load_s": 30.0, "warm_s": 4.0}
    endpoint = {"address": "http://10.0.0.1:8000", "load": load_report(3) | {"start": start}}
    fake, polled = FakeRouter("127.90.0.7", body={"endpoints": [endpoint]}), []

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient()) as load:
            store = Store(on_change=lambda key: None)
            metadata = {"name": "music", "namespace": "default", "uid": "u-1"}
            body = deployment({"replicas": 1})
            store.put_resource(body | {"metadata": metadata | {"resourceVersion": "1"}})
            store.put(started_pod("s1", "10.0.0.1"), "Pod")
            poller = RouterPoller(store, load, Metrics(), polled.append, 5.0)
            for _ in range(EXTERNAL_MODE_ROUNDS):
                await poller.poll_once()
            was_not_polled = polled == []
            store.put(router_pod("r1", fake.address), "Router")
            for _ in range(EXTERNAL_MODE_ROUNDS):
                await poller.poll_once()
            resource, seen = store.resource(KEY), store.observed(KEY, "u-1")
            signals = poller.demand_and_capacity(KEY, resource, seen, poller.now())
            external = desired_replicas(
                spec.parse(body).spec, signals, ScalingState(), PodCounts(1, 0), NOW_S
            )
            return was_not_polled, seen.pods[0].start, external

    with fake.running():
        was_not_polled, start_seen, external = asyncio.run(scenario())
    assert was_not_polled
    assert (polled, fake.num_requests) == ([KEY], 1)
    assert (start_seen.fetch_s, start_seen.load_s, start_seen.warm_s) == (20.0, 32.0, 4.0)
    assert external.num == 1
    assert scaling.capacity_status(external).audio_seconds_per_second == "16"
