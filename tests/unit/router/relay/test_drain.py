"""The drain gate: it lets nothing in once closed, and waits for what is in flight."""

import asyncio

import pytest

from flamingo_common.errors import Draining
from flamingo_router.relay.drain import Gate


def test_a_shut_gate_waits_for_those_inside_and_lets_nobody_in():
    async def scenario():
        gate = Gate()
        with gate.admitted():
            shutting = asyncio.create_task(gate.shut())
            await asyncio.sleep(0)
            with pytest.raises(Draining), gate.admitted():
                pass
            assert not shutting.done()
        await shutting
        assert gate.num_inside == 0

    asyncio.run(scenario())
