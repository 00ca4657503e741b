"""The drain gate: once closed it admits nothing, and waits for what is in flight."""

import asyncio

import pytest

from flamingo_common.errors import Draining
from flamingo_common.service.drain_gate import DrainGate


def test_a_closed_gate_waits_for_requests_in_flight_and_admits_no_more():
    async def scenario():
        gate = DrainGate()
        with gate.admitted():
            closing = asyncio.create_task(gate.close())
            await asyncio.sleep(0)
            with pytest.raises(Draining), gate.admitted():
                pass
            assert not closing.done()
        await closing
        assert gate.in_flight == 0

    asyncio.run(scenario())
