"""Which deployment is reconciled next, and when."""

import asyncio

from fakes.patience import PATIENCE_S

from flamingo_operator.work_queue import WorkQueue


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_key_is_processed_by_one_task_at_a_time_and_once_more_if_added():
    async def scenario():
        queue = WorkQueue()
        queue.add("a")
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        taking = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        assert not taking.done()
        queue.done("a")
        assert await asyncio.wait_for(taking, PATIENCE_S) == "a"

    asyncio.run(scenario())


def test_a_key_that_fails_backs_off_and_adding_it_does_not_shorten_that():
    async def scenario():
        clock = Clock()
        queue = WorkQueue(clock=clock)
        waits_s = []
        queue.add("a")
        for _ in range(12):
            assert await queue.get() == "a"
            waits_s.append(queue.failed("a"))
            queue.add("a")
            assert len(queue) == 0
            clock.now_s += 60
        assert waits_s[0] <= 0.5
        assert 30 <= waits_s[-1] <= 60
        assert await queue.get() == "a"
        queue.done("a")
        queue.add("a")
        assert len(queue) == 1

    asyncio.run(scenario())


def test_an_earlier_time_wins_over_a_later_one():
    async def scenario():
        clock = Clock()
        queue = WorkQueue(clock=clock)
        queue.add("a", after_s=100)
        queue.add("b", after_s=50)
        queue.add("a", after_s=200)
        queue.add("a", after_s=10)
        clock.now_s = 60
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert queue.longest_overdue_s() == 0

    asyncio.run(scenario())
