"""The requests in flight: counted while they last, and waited for."""

import asyncio
import contextlib
import time

import pytest

from flamingo_common.errors import DeadlineExceeded, Overloaded
from flamingo_pod.admission import Admission
from flamingo_pod.admission_policy import AdmissionLimits
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.request_stats import RequestStats

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
    one, load = admission(), EngineLoad(encode_s=90.0, prefill_s=0.0)
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
