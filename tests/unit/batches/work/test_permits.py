"""Permits: whoever waits longest is next, and nothing is sent while the fleet is full."""

import asyncio

from fakes.patience import PATIENCE_S

from flamingo_batches.work.permits import Permits


def run(scenario):
    async def in_time():
        async with asyncio.timeout(PATIENCE_S):
            await scenario()

    asyncio.run(in_time())


async def taken(permits, num):
    for _ in range(num):
        await permits.acquire("")


def test_the_longest_waiting_is_next():
    async def scenario():
        permits, order = Permits(2), []

        async def wait(name):
            await permits.acquire("")
            order.append(name)

        await taken(permits, 2)
        waiting = [asyncio.create_task(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        assert order == []
        for _ in range(3):
            permits.release()
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert order == ["a", "b", "c"]
        assert permits.num_in_flight == 2

    run(scenario)


def test_keys_take_turns():
    async def scenario():
        permits, order = Permits(1), []

        async def wait(owner):
            await permits.acquire(owner)
            order.append(owner)

        await permits.acquire("")
        waiting = [asyncio.create_task(wait(owner)) for owner in "aaabc"]
        for _ in waiting:
            await asyncio.sleep(0)
            permits.release()
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        assert order == ["a", "b", "c", "a", "a"]

    run(scenario)


def test_a_permit_that_is_given_to_a_cancelled_line_is_not_lost():
    async def scenario():
        permits = Permits(1)
        await permits.acquire("")
        first, second = (asyncio.create_task(permits.acquire("")) for _ in range(2))
        await asyncio.sleep(0)
        permits.release()
        first.cancel()
        await second
        assert permits.num_in_flight == 1

    run(scenario)


def test_after_a_refusal_nothing_is_sent_for_a_while_and_then_less():
    async def scenario():
        permits = Permits(8)
        await taken(permits, 4)
        assert permits.limit == 4
        permits.release_refused(0.01)
        assert permits.limit == 2
        for _ in range(3):
            permits.abandon()
        waiting = asyncio.create_task(permits.acquire(""))
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting

    run(scenario)
