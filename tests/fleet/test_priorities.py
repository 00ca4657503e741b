"""A real router before a real pod: live requests overtake those of low priority."""

import asyncio
import re

import aiohttp
import httpx2
import pytest
from fakes import polling, processes

from flamingo_common.wire import PRIORITY_HEADER

CHAT = "/v1/chat/completions"
LOW = {PRIORITY_HEADER: "low"}
QUESTION = {"messages": [{"role": "user", "content": "Hi"}], "ignore_eos": True}
LONG = QUESTION | {"max_tokens": 8000, "stream": True}


@pytest.fixture(scope="module")
def small_fleet(model_cache, tmp_path_factory):
    """A router before a pod whose batch has places for two sequences."""
    logs = tmp_path_factory.mktemp("fleet")
    flags = ("--model", "flamingo-tiny", "--max-num-seqs", "2")
    with processes.service("flamingo_pod", *flags, log=logs / "pod") as pod:
        processes.wait_until_ready(pod)
        router = processes.service(
            "flamingo_router", "--endpoint", pod.address, log=logs / "router"
        )
        with router as running:
            processes.wait_until_ready(running)
            yield running, pod


def test_a_live_request_is_answered_while_low_priority_fills_the_batch(small_fleet):
    router, pod = small_fleet

    async def scenario():
        async with aiohttp.ClientSession(router.address) as session:
            asked = [session.post(CHAT, json=LONG, headers=LOW) for _ in range(4)]
            streams = [asyncio.ensure_future(_ends(each)) for each in asked]

            async def is_full():
                return await _num_running(session, pod) >= 2

            await polling.until(is_full)
            for _ in range(3):
                async with session.post(CHAT, json=QUESTION | {"max_tokens": 5}) as answer:
                    assert (await answer.json())["usage"]["completion_tokens"] == 5
            num_finished = sum(stream.done() for stream in streams)
            async with session.get(f"{pod.address}/stats") as stats:
                low = (await stats.json())["low"]
            assert low["num_running"] + low["num_waiting"] == 4
            assert 0 <= low["queued_s"] < low["backlog_s"]
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            async with session.get(f"{pod.address}/metrics") as metrics:
                return num_finished, await metrics.text()

    num_finished, metrics = asyncio.run(asyncio.wait_for(scenario(), 120))
    # Each of the two that run generates 8,000 tokens, and two wait behind them.
    assert num_finished == 0
    (preemptions,) = re.findall(r"^flamingo_preemptions_total (\S+)$", metrics, re.MULTILINE)
    assert float(preemptions) >= 1


async def _ends(request):
    async with request as answer:
        await answer.read()


async def _num_running(session, pod):
    async with session.get(f"{pod.address}/stats") as stats:
        return (await stats.json())["num_running"]


def test_a_pod_refuses_what_is_not_a_priority_as_a_router_does(small_fleet):
    errors = []
    for service in small_fleet:
        answer = httpx2.post(
            f"{service.address}{CHAT}", json=QUESTION, headers={PRIORITY_HEADER: "urgent"}
        )
        assert answer.status_code == 400
        errors.append(answer.json()["error"])
    assert [each["message"] for each in errors] == [
        "'urgent' is not a valid x-flamingo-priority; expected high, normal or low"
    ] * 2
    assert {each["param"] for each in errors} == {PRIORITY_HEADER}
