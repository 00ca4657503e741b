"""The router as a process between clients that vanish and pods that are killed, stopped or cut off.

Every pod here is a process too, and gets real signals.
"""

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import pytest
from fakes import polling, processes
from fakes.router_processes import (
    CHAT,
    PATIENCE_S,
    STREAMED,
    ask,
    endpoints_of,
    events_of,
    lines_of,
    resident_bytes,
    routing,
    run,
    until,
    wait_for_request_at,
)

from flamingo_common.service.exit_status import ExitStatus

WORDS = [f"word{number} " for number in range(40)]
# The second of two pods says that it has work, so the first gets the request.
SPARE = {"backlog_s": 5.0}


def test_a_pod_killed_before_it_responds_loses_no_request(tmp_path):
    with routing(tmp_path, {"answer_s": 60}, SPARE) as (router, (doomed, _)):

        async def scenario(client):
            asked = asyncio.create_task(ask(client, router))
            await wait_for_request_at(client, router, doomed.address)
            doomed.process.kill()
            return await asked

        status, answer = run(scenario)
    assert status == 200
    assert answer["object"] == "chat.completion"


def test_a_pod_killed_during_an_upload_loses_no_request(tmp_path):
    # Long enough to be sent before it has arrived completely, short enough to be kept.
    clip = {"type": "input_audio", "input_audio": {"data": "A" * 600_000, "format": "wav"}}
    body = json.dumps({"messages": [{"role": "user", "content": [clip]}]}).encode()

    with routing(tmp_path, {"answer_s": 60}, SPARE) as (router, (doomed, _)):

        async def scenario(client):
            is_dead = asyncio.Event()

            async def halves():
                yield body[:400_000]
                await is_dead.wait()
                yield body[400_000:]

            headers = {"Content-Type": "application/json"}
            sent = client.post(router.address + CHAT, data=halves(), headers=headers)
            asked = asyncio.create_task(sent)
            await wait_for_request_at(client, router, doomed.address)
            doomed.process.kill()
            doomed.process.wait()
            is_dead.set()
            async with await asked as answer:
                return answer.status

        assert run(scenario) == 200


def test_a_pod_killed_in_mid_stream_ends_it_with_an_error(tmp_path):
    doomed = {"words": WORDS, "word_s": 0.1}
    with routing(tmp_path, doomed, SPARE) as (router, (pod, _)):

        async def scenario(client):
            async with client.post(router.address + CHAT, json=STREAMED) as answer:
                await answer.content.readline()
                pod.process.kill()
                return (await answer.content.read()).decode()

        text = run(scenario)
    *_, last = [line for line in text.splitlines() if line]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_lost"
    assert "[DONE]" not in text


def test_a_pod_that_sends_garbage_is_passed_over(tmp_path):
    with routing(tmp_path, {"answers_garbage": True}, SPARE) as (router, (_, spare)):
        status, _ = run(lambda client: ask(client, router))
        (line,) = [each for each in lines_of(router.log) if each.get("path") == CHAT]
    assert status == 200
    assert (line["endpoint"], line["attempts"]) == (spare.address, 2)


def test_garbage_from_the_only_pod_becomes_one_clear_error(tmp_path):
    with routing(tmp_path, {"answers_garbage": True}) as (router, _):
        status, answer = run(lambda client: ask(client, router))
    assert status == 502
    assert answer["error"]["code"] == "upstream_lost"


def test_a_pod_that_hangs_gets_no_more_and_its_requests_are_retried_elsewhere(tmp_path):
    flags = ("--unreachable-after-s", "2")
    with routing(tmp_path, {"answer_s": 60}, SPARE, flags=flags) as (router, (hung, _)):

        async def scenario(client):
            asked = asyncio.create_task(ask(client, router))
            await wait_for_request_at(client, router, hung.address)
            hung.process.send_signal(signal.SIGSTOP)
            first = await asked
            second = await ask(client, router)
            return first[0], second[0], await endpoints_of(client, router)

        first, second, endpoints = run(scenario)
        hung.process.send_signal(signal.SIGCONT)
    assert (first, second) == (200, 200)
    (lost,) = [each for each in endpoints if each["address"] == hung.address]
    assert not lost["ready"]


def test_a_stream_of_a_pod_that_hangs_ends_with_an_error(tmp_path):
    stuck = {"words": WORDS, "word_s": 0.2}
    with routing(tmp_path, stuck, flags=("--unreachable-after-s", "2")) as (router, (pod,)):

        async def scenario(client):
            async with client.post(router.address + CHAT, json=STREAMED) as answer:
                await answer.content.readline()
                pod.process.send_signal(signal.SIGSTOP)
                return (await answer.content.read()).decode()

        text = run(scenario)
        pod.process.send_signal(signal.SIGCONT)
    *_, last = [line for line in text.splitlines() if line]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_lost"


def test_a_pod_that_hangs_and_recovers_gets_requests_again(tmp_path):
    with routing(tmp_path, {}, flags=("--unreachable-after-s", "1")) as (router, (pod,)):

        async def scenario(client):
            pod.process.send_signal(signal.SIGSTOP)
            await until(client, router, lambda seen: not seen[0]["ready"])
            pod.process.send_signal(signal.SIGCONT)
            await until(client, router, lambda seen: seen[0]["ready"])
            return await ask(client, router)

        assert run(scenario)[0] == 200


def test_when_all_pods_drain_requests_are_refused_at_once(tmp_path):
    draining = {"state": "draining"}
    with contextlib.ExitStack() as stack:
        pods = [
            stack.enter_context(processes.fake_pod(tmp_path / f"{number}", **draining))
            for number in range(2)
        ]
        endpoints = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        router = stack.enter_context(
            processes.service(
                "flamingo_router", *endpoints, "--cold-start-hold-s", "0", log=tmp_path / "router"
            )
        )

        async def scenario(client):
            await until(client, router, lambda seen: all(each["load"] for each in seen))
            return await ask(client, router)

        status, answer = run(scenario)
    assert status == 503
    assert answer["error"]["code"] in {"no_endpoint_ready", "draining"}


def test_a_client_that_does_not_read_delays_only_its_own_pod(tmp_path):
    loud = {"words": ["la " * 20_000] * 200}  # 12 MB: more than the sockets between hold
    with routing(tmp_path, loud, loud) as (router, _):

        async def scenario(client):
            async with client.post(router.address + CHAT, json=STREAMED) as deaf:
                await deaf.content.readline()
                before = resident_bytes(router.process)
                for _ in range(3):
                    assert (await ask(client, router))[0] == 200
                grown = resident_bytes(router.process) - before
                deaf.close()
                return grown

        assert run(scenario) < 8_000_000


def test_a_slow_upload_does_not_delay_other_requests(tmp_path):
    with routing(tmp_path, {}) as (router, _):

        async def scenario(client):
            go_on = asyncio.Event()

            async def slowly():
                yield b'{"messages": [{"role": "user", "content": "'
                await go_on.wait()
                yield b'Hi"}]}'

            headers = {"Content-Type": "application/json"}
            sent = client.post(router.address + CHAT, data=slowly(), headers=headers)
            slow = asyncio.create_task(sent)
            quick = [(await ask(client, router))[0] for _ in range(5)]
            is_done = slow.done()
            go_on.set()
            async with await slow as answer:
                return quick, is_done, answer.status

        assert run(scenario) == ([200] * 5, False, 200)


def test_a_router_stopped_under_load_loses_no_request(tmp_path):
    pod = {"words": WORDS, "word_s": 0.05}
    with routing(tmp_path, pod, pod, flags=("--grace-period-s", "30")) as (router, _):

        async def scenario(client):
            streams = [asyncio.create_task(events_of(client, router)) for _ in range(20)]
            await until(client, router, lambda seen: sum(e["num_open"] for e in seen) == 20)
            router.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*streams)

        answered = run(scenario)
        assert router.process.wait(PATIENCE_S) == 0
    assert all(events[-1] == "[DONE]" for events in answered)
    assert all(len(events) == len(WORDS) + 2 for events in answered)


@pytest.mark.parametrize("flags", [("--grace-period-s", "600"), ("--grace-period-s", "0.5")])
def test_a_stream_through_a_router_that_is_stopped_at_once_ends_with_an_error(tmp_path, flags):
    pod, status = {"words": WORDS, "word_s": 0.5}, ExitStatus.INCOMPLETE_SHUTDOWN
    with routing(tmp_path, pod, flags=flags, ends_with=status) as (router, _):

        async def scenario(client):
            begun = [asyncio.Event() for _ in range(4)]
            streams = [asyncio.create_task(events_of(client, router, each)) for each in begun]
            for each in begun:  # before its first event, a request gets a plain error
                await each.wait()
            router.process.send_signal(signal.SIGTERM)
            if "600" in flags:
                await polling.until_logged(router.log, "service.draining")
                router.process.send_signal(signal.SIGTERM)
            return await asyncio.gather(*streams)

        answered = run(scenario)
        assert router.process.wait(PATIENCE_S) == status
    for events in answered:
        assert events[-1]["error"]["code"] == "draining"
        assert "[DONE]" not in events


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_a_thousand_idle_streams_cost_little_memory(tmp_path):
    idle = {"words": WORDS, "word_s": 3600.0}
    num_streams = 1000
    with routing(tmp_path, idle, flags=("--max-backlog-s", "1e9")) as (router, _):

        async def scenario(client):
            before = resident_bytes(router.process)
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(num_streams):
                    await stack.enter_async_context(
                        client.post(router.address + CHAT, json=STREAMED)
                    )
                await until(client, router, lambda seen: seen[0]["num_open"] == num_streams)
                return resident_bytes(router.process) - before

        assert run(scenario) < 150_000_000


def test_a_router_killed_leaves_the_other_one_serving(tmp_path):
    with routing(tmp_path, {}, {}) as (router, pods):
        endpoints = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        twin = processes.service(
            "flamingo_router", *endpoints, log=tmp_path / "twin", ends_with=-signal.SIGKILL
        )
        with twin as doomed:
            processes.wait_until_ready(doomed)
            doomed.process.kill()
            doomed.process.wait()
            assert run(lambda client: ask(client, router))[0] == 200
