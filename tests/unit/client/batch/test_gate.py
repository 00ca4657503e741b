import asyncio

import pytest
from fakes.batches import Clock

from flamingo.batch.failures import FleetUnavailable
from flamingo.batch.gate import FIRST_IN_FLIGHT, Gate
from flamingo_common.errors import Overloaded


def new_gate(clock, *, max_in_flight=64, max_outage_s=60.0):
    return Gate(
        max_in_flight=max_in_flight, max_outage_s=max_outage_s, clock=clock, sleep=clock.sleep
    )


def test_as_many_may_enter_as_the_limit_says_and_the_next_when_one_leaves():
    async def scenario():
        gate = new_gate(Clock())
        for _ in range(FIRST_IN_FLIGHT):
            await gate.enter()
        waiting = [asyncio.create_task(gate.enter()) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        gate.leave()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.done() for task in waiting].count(True) == 1
        gate.leave_answered()  # makes room for two: the limit has grown
        await asyncio.wait(waiting)

    asyncio.run(scenario())


def test_a_waiter_that_was_cancelled_takes_no_place():
    async def scenario():
        gate = new_gate(Clock(), max_in_flight=1)
        await gate.enter()
        first, second = (asyncio.create_task(gate.enter()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        gate.leave()
        await second

    asyncio.run(scenario())


def test_after_a_refusal_none_enters_for_its_time():
    async def scenario():
        clock = Clock()
        gate = new_gate(clock)
        await gate.enter()
        gate.leave_refused(Overloaded("full", retry_after_s=7))
        await gate.enter()
        return clock.now_s

    assert asyncio.run(scenario()) == 7


def test_an_answer_ends_an_outage():
    async def scenario():
        clock = Clock()
        gate = new_gate(clock)
        for _ in range(3):
            for _ in range(2):
                await gate.enter()
            gate.leave_refused(Overloaded("full", retry_after_s=50))
            gate.leave_answered()
        await gate.enter()
        gate.leave_refused(Overloaded("full", retry_after_s=70))
        await gate.enter()
        with pytest.raises(FleetUnavailable, match="no request for 70 s; the last error: full"):
            gate.leave_refused(Overloaded("full"))

    asyncio.run(scenario())
