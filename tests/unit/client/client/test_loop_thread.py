"""A coroutine that runs in another thread's loop, and Ctrl-C while the caller waits for it."""

import asyncio
import gc
import sys
import threading

import pytest

from flamingo.client.loop_thread import LoopThread

# An interrupt can end a finalizer, and leave the loop of a thread that did not start.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

MAX_STEPS = 1000
STOP_TIMEOUT_S = 60


@pytest.fixture(autouse=True)
def collected():
    """Collect what an interrupt left while its warnings are ignored, and not in another test."""
    yield
    gc.collect()


class Interrupt:
    """Raises KeyboardInterrupt in the thread that it traces, at one of its steps.

    The steps are the calls and returns of Python functions, at which the interpreter handles
    signals; not their lines, since it handles none between the end of a `with` block and the exit.
    """

    def __init__(self, moment: int) -> None:
        self.num_steps = 0
        self._moment = moment

    def __call__(self, frame, event, _):
        frame.f_trace_lines = False
        self.num_steps += event != "exception"
        if self.num_steps == self._moment:
            sys.settrace(None)
            raise KeyboardInterrupt
        return self


async def nothing():
    pass


def can_be_stopped(thread):
    stopping = threading.Thread(target=thread.stop, daemon=True)
    stopping.start()
    stopping.join(STOP_TIMEOUT_S)
    return not stopping.is_alive()


def remaining_threads():
    """Return the threads that still run a loop; one that never started is not alive."""
    threads = [one for one in threading.enumerate() if one.name == "flamingo-client"]
    for one in threads:
        if one.is_alive():
            one.join(STOP_TIMEOUT_S)
    return [one for one in threads if one.is_alive()]


def is_interrupted_at(moment, thread, function=nothing):
    """Run a coroutine; return whether that took as many steps as `moment`."""
    traced = sys.gettrace()
    gc.disable()  # a finalizer would be one more step, and cannot raise
    sys.settrace(Interrupt(moment))
    try:
        thread.run(function)
    except (KeyboardInterrupt, RuntimeError):  # threading may replace it by one of its locks
        return True
    finally:
        sys.settrace(traced)
        gc.enable()
    return False


def test_an_interrupt_at_any_moment_of_the_wait_leaves_a_thread_that_can_be_stopped():
    for moment in range(1, MAX_STEPS):
        thread = LoopThread(nothing)
        thread.run(nothing)
        was_interrupted = is_interrupted_at(moment, thread)
        assert can_be_stopped(thread), f"interrupted at step {moment}"
        assert remaining_threads() == [], f"interrupted at step {moment}"
        if not was_interrupted:
            assert moment > 1
            return
    pytest.fail("it always takes more steps")


def test_an_interrupt_at_any_moment_of_the_start_leaves_a_thread_that_can_be_stopped():
    for moment in range(1, MAX_STEPS):
        thread = LoopThread(nothing)
        was_interrupted = is_interrupted_at(moment, thread)
        assert can_be_stopped(thread), f"interrupted at step {moment}"
        assert remaining_threads() == [], f"interrupted at step {moment}"
        if not was_interrupted:
            return
    pytest.fail("it always takes more steps")


class Endless:
    """A generator that takes a while to end when it is cancelled."""

    def __init__(self):
        self.chunks = self._chunks()

    async def _chunks(self):
        try:
            yield await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)

    async def next_chunk(self):
        return await anext(self.chunks)


def test_an_interrupt_at_any_moment_is_raised_when_the_coroutine_has_ended():
    idle = LoopThread(nothing)
    idle.run(nothing)
    for moment in range(1, MAX_STEPS):
        thread, stream = LoopThread(nothing), Endless()
        thread.run(nothing)
        assert is_interrupted_at(moment, thread, stream.next_chunk)
        thread.run(stream.chunks.aclose)  # fails if the generator runs
        thread.stop()
        if not is_interrupted_at(moment, idle):
            return idle.stop()
    pytest.fail("it always takes more steps")
