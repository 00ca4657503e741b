"""Work in threads that outlives the cancellation of those who wait for it."""

import asyncio
import threading

import pytest
from fakes.patience import PATIENCE_S

from flamingo_common.service import uninterrupted


def cancelled_while_running(function, discard=None, *, num_cancels=1):
    """Cancel a caller while `function` runs; return how it ended, after the function's end."""
    may_end = threading.Event()

    def work():
        assert may_end.wait(PATIENCE_S)
        return function()

    async def scenario():
        loop = asyncio.get_running_loop()
        caller = asyncio.create_task(
            uninterrupted.result_of(loop.run_in_executor(None, work), discard)
        )
        await asyncio.sleep(0)  # it waits now
        for _ in range(num_cancels):
            caller.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not caller.done()
        may_end.set()
        await asyncio.wait([caller])
        return caller

    return asyncio.run(scenario())


@pytest.mark.parametrize("num_cancels", [1, 3])
def test_a_cancelled_caller_waits_for_the_end_and_discards_the_result(num_cancels):
    discarded = []
    caller = cancelled_while_running(lambda: "a file", discarded.append, num_cancels=num_cancels)
    assert caller.cancelled()
    assert discarded == ["a file"]


def test_a_failure_that_no_caller_gets_is_not_reported_as_unhandled(caplog):
    def fail():
        raise OSError("no such file")

    caller = cancelled_while_running(fail, pytest.fail)
    assert caller.cancelled()
    assert not caplog.records


def test_results_and_failures_reach_a_caller_that_waits():
    async def scenario(function):
        work = asyncio.get_running_loop().run_in_executor(None, function)
        return await uninterrupted.result_of(work, pytest.fail)

    assert asyncio.run(scenario(lambda: 3)) == 3
    with pytest.raises(ZeroDivisionError):
        asyncio.run(scenario(lambda: 1 // 0))
