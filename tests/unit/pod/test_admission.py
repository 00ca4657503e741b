"""The requests in flight: counted while they last, and waited for."""

import asyncio
import contextlib
import time

import pytest
from fakes.engine_costs import learned

from flamingo_common.errors import DeadlineExceeded, Overloaded
from flamingo_common.wire.priority import Priority
from flamingo_pod.admission import Admission
from flamingo_pod.admission_policy import AdmissionLimits
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.costs.load import EngineLoad
from flamingo_pod.engine.costs.request_stats import RequestStats

IDLE = EngineLoad()


def admission(max_concurrent_answers=2):
    return Admission(AdmissionLimits(max_concurrent_answers, max_backlog_s=100.0))


def test_a_request_counts_while_it_lasts_however_it_ends():
    two = admission()
    with contextlib.suppress(ZeroDivisionError), two.admit(IDLE, ANONYMOUS):
        assert two.num_requests == two.num_answers(IDLE) == 1
        raise ZeroDivisionError
    assert two.num_requests == 0


def test_a_rejected_request_does_not_count():
    two = admission()
    with two.admit(IDLE, ANONYMOUS), two.admit(IDLE, ANONYMOUS):
        with pytest.raises(Overloaded), two.admit(IDLE, ANONYMOUS):
            pass
        assert two.num_requests == 2
    assert two.num_requests == 0


def test_each_choice_takes_the_place_of_a_request():
    two, load = admission(), EngineLoad()
    with two.admit(load, ANONYMOUS):
        two.check_choices(load, 2)
        with pytest.raises(Overloaded):
            two.check_choices(load, 3)
        with load.in_flight(RequestStats(num_choices=2)):
            assert two.num_answers(load) == 2
            with pytest.raises(Overloaded), two.admit(load, ANONYMOUS):
                pass


def test_a_deadline_is_compared_with_the_work_ahead():
    one, load = admission(), EngineLoad(recent=learned(90.0))
    soon = Caller(deadline_s=time.monotonic() + 60)
    with load.in_flight(RequestStats(num_windows_left=1)):
        with pytest.raises(DeadlineExceeded), one.admit(load, soon):
            pass
        with one.admit(load, ANONYMOUS):
            pass


@pytest.mark.parametrize("is_abandoned", [False, True])
def test_waiting_ends_with_the_last_request_or_with_the_pod(is_abandoned):
    async def scenario():
        two = admission()
        await two.wait_until_idle()
        with two.admit(IDLE, ANONYMOUS):
            waiting = asyncio.create_task(two.wait_until_idle())
            await asyncio.sleep(0)
            assert not waiting.done()
            if is_abandoned:
                two.stop_waiting()
                await waiting
        await waiting

    asyncio.run(scenario())


LOW = Caller(priority=Priority.LOW)


def test_a_live_request_does_not_count_the_work_of_low_priority():
    one, load = admission(), EngineLoad(recent=learned(90.0))
    soon = Caller(deadline_s=time.monotonic() + 60)
    batch = RequestStats(num_windows_left=3, priority=Priority.LOW)
    with load.in_flight(batch):
        with one.admit(load, soon):
            pass
        with pytest.raises(Overloaded, match="270 s of work is queued"), one.admit(load, LOW):
            pass


def test_low_priority_leaves_places_to_live_requests():
    eight = admission(max_concurrent_answers=8)
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(eight.admit(IDLE, LOW))
        with pytest.raises(Overloaded, match="limit: 6"), eight.admit(IDLE, LOW):
            pass
        for _ in range(2):
            stack.enter_context(eight.admit(IDLE, ANONYMOUS))
        assert (eight.num_answers(IDLE), eight.num_low_answers(IDLE)) == (8, 6)
    assert eight.num_low_answers(IDLE) == 0


def test_a_pod_of_one_place_accepts_low_priority():
    with admission(max_concurrent_answers=1).admit(IDLE, LOW):
        pass
