"""Reading the load of server pods."""

import asyncio
import contextlib

import pytest
from fakes.operator_inputs import (
    load_report,
    observed_pod,
)
from fakes.scripted_routers import FakeRouter

from flamingo_operator.polling.pod_load_client import PodLoadClient


@pytest.mark.parametrize("address", ["127.90.0.6", "::1"])
def test_pods_are_queried_with_the_key(address):
    fake = FakeRouter(address, body=load_report(1))

    async def scenario():
        async with contextlib.aclosing(PodLoadClient("k-1")) as load:
            return await load.read([observed_pod("a", ip=fake.address), observed_pod("b")])

    with fake.running():
        found = asyncio.run(scenario())
    assert {name: one.backlog_s for name, one in found.items()} == {"a": 2.0}
    assert fake.keys == {"Bearer k-1"}
