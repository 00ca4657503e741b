"""Pods that hang: SIGSTOP leaves their connections open, as a lost GPU driver does."""

import asyncio
import contextlib
import signal

import pytest
from fakes.router_processes import ask, endpoints_of, events_of, routing, run, until

QUIET = ("--unreachable-after-s", "2")
SPARE = {"backlog_s": 5.0}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_hung_pod_holds_no_request_however_its_endpoint_is_named(tmp_path, host):
    pods = {"answer_s": 60}, SPARE
    with routing(tmp_path, *pods, flags=QUIET, host=host) as (router, (hung, _)):

        async def scenario(client):
            asked = asyncio.create_task(ask(client, router))
            await until(client, router, lambda seen: any(each["num_open"] for each in seen))
            hung.process.send_signal(signal.SIGSTOP)
            return (await asked)[0]

        assert run(scenario) == 200
        hung.process.send_signal(signal.SIGCONT)


def test_all_that_a_hung_pod_held_is_sent_again(tmp_path):
    with routing(tmp_path, {"answer_s": 60}, {"answer_s": 0.3}, flags=QUIET) as (router, pods):
        hung, _ = pods

        async def scenario(client):
            asked = [asyncio.create_task(ask(client, router)) for _ in range(40)]

            def are_out(seen):
                held = {each["address"]: each["num_open"] for each in seen}
                return held[hung.address] > 10 and sum(held.values()) == held[hung.address]

            await until(client, router, are_out)  # the other pod has answered all of its own
            held = sum(each["num_open"] for each in await endpoints_of(client, router))
            hung.process.send_signal(signal.SIGSTOP)
            return held, [(await each)[0] for each in asked]

        held, statuses = run(scenario)
        hung.process.send_signal(signal.SIGCONT)
    assert held > 10
    assert statuses == [200] * 40


def test_a_router_that_was_suspended_blames_no_pod(tmp_path):
    words = [f"word{number} " for number in range(50)]
    with routing(tmp_path, {"words": words, "word_s": 0.1}, flags=QUIET) as (router, _):

        async def scenario(client):
            begun = asyncio.Event()
            asked = asyncio.create_task(events_of(client, router, begun))
            await begun.wait()
            router.process.send_signal(signal.SIGSTOP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3):  # longer than a silent pod counts as reachable
                    await asyncio.Event().wait()
            router.process.send_signal(signal.SIGCONT)
            return await asked

        assert run(scenario)[-1] == "[DONE]"
