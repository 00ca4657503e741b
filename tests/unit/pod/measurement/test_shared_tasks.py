"""Tasks that are shared by all who want the same at the same time."""

import asyncio

import pytest

from flamingo_pod.measurement.shared_tasks import SharedTasks


class Work:
    """Tasks that wait until they are released, and how many were started and cancelled."""

    def __init__(self):
        self.shared = SharedTasks()
        self.may_end = asyncio.Event()
        self.num_started = self.num_cancelled = 0

    def start(self):
        self.num_started += 1
        return asyncio.create_task(self._run())

    async def _run(self):
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        return f"result {self.num_started}"

    def caller(self, key="song"):
        return asyncio.create_task(self.shared.result(key, self.start))


async def turns():
    """Let all tasks go on as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_those_who_come_while_it_runs_wait_for_the_first_ones_result():
    async def scenario():
        work = Work()
        callers = [work.caller() for _ in range(5)]
        await turns()
        assert "song" in work.shared
        work.may_end.set()
        return await asyncio.gather(*callers), work

    found, work = asyncio.run(scenario())
    assert found == ["result 1"] * 5
    assert work.num_started == 1
    assert len(work.shared) == 0


def test_others_are_not_waited_for():
    async def scenario():
        work = Work()
        callers = [work.caller(key) for key in ("song", "other song")]
        await turns()
        work.may_end.set()
        await asyncio.gather(*callers)
        await work.caller()  # the result was not kept
        return work.num_started

    assert asyncio.run(scenario()) == 3


@pytest.mark.parametrize("leaves", [0, 1, 2])
def test_who_leaves_takes_the_result_from_none_of_the_others(leaves):
    async def scenario():
        work = Work()
        callers = [work.caller() for _ in range(3)]
        await turns()
        callers[leaves].cancel()
        await turns()
        work.may_end.set()
        found = await asyncio.gather(*callers, return_exceptions=True)
        return found, work

    found, work = asyncio.run(scenario())
    assert isinstance(found.pop(leaves), asyncio.CancelledError)
    assert found == ["result 1"] * 2
    assert (work.num_started, work.num_cancelled) == (1, 0)


def test_the_last_who_leaves_ends_the_task_and_the_next_starts_another():
    async def scenario():
        work = Work()
        callers = [work.caller() for _ in range(2)]
        await turns()
        for each in callers:
            each.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert (work.num_cancelled, len(work.shared)) == (1, 0)
        work.may_end.set()
        return await work.caller()

    assert asyncio.run(scenario()) == "result 2"


def test_a_caller_who_comes_while_the_task_is_being_cancelled_gets_one_of_their_own():
    async def scenario():
        work = Work()
        first = work.caller()
        await turns()
        first.cancel()
        second = work.caller()
        work.may_end.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(scenario())
    assert isinstance(first, asyncio.CancelledError)
    assert second.startswith("result")


def test_all_get_an_error_and_the_next_caller_does_not():
    class Failed(Exception):
        pass

    async def fail():
        await asyncio.sleep(0)
        raise Failed

    async def scenario():
        work = Work()

        def start():
            return asyncio.create_task(fail())

        callers = [work.shared.result("song", start) for _ in range(3)]
        found = await asyncio.gather(*callers, return_exceptions=True)
        work.may_end.set()
        return found, await work.caller()

    found, after = asyncio.run(scenario())
    assert [type(each) for each in found] == [Failed] * 3
    assert after == "result 1"


def test_a_caller_who_has_the_result_goes_on_before_another_can_ask():
    kept = {}

    async def ask(work):
        if "song" not in kept:
            kept["song"] = await work.shared.result("song", work.start)

    async def scenario():
        work = Work()
        first = asyncio.create_task(ask(work))
        await turns()
        work.may_end.set()
        while not first.done():  # one comes in each turn of the loop
            asyncio.create_task(ask(work))  # noqa: RUF006 - it ends before the loop
            await asyncio.sleep(0)
        await turns()
        return work.num_started

    assert asyncio.run(scenario()) == 1
