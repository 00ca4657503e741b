"""Reading the demand from routers."""

import asyncio
import contextlib

from fakes.operator_inputs import (
    KEY,
    router_pod,
)
from fakes.scripted_routers import FakeRouter

from flamingo_operator.cluster.store import Store
from flamingo_operator.polling.router_load_client import RouterLoadClient


def test_a_router_that_answers_nonsense_or_nothing_is_left_out():
    silent, odd = FakeRouter("127.90.0.3"), FakeRouter("127.90.0.4", body=[1, 2])

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient()) as load:
            store = Store(on_change=lambda key: None)
            for number, fake in enumerate((silent, odd, FakeRouter("127.90.0.5"))):
                store.put(router_pod(f"r{number}", fake.address), "Router")
            return await load.read(store.observed(KEY, "u-1").routers)

    with silent.running(), odd.running():
        assert asyncio.run(scenario()) == {}
    assert min(silent.num_requests, odd.num_requests) >= 1


def test_a_router_with_an_ipv6_address_is_read():
    fake = FakeRouter("::1", body={"version": 1})

    async def scenario():
        async with contextlib.aclosing(RouterLoadClient()) as load:
            store = Store(on_change=lambda key: None)
            store.put(router_pod("r1", fake.address), "Router")
            return await load.read(store.observed(KEY, "u-1").routers)

    with fake.running():
        assert asyncio.run(scenario()) == {"r1": {"version": 1}}
