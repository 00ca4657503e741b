"""A fleet of our containers on a real node: it answers, scales, rolls and survives."""

import asyncio
import base64
import json
import os
import signal

import aiohttp
import openai
import pytest
from cluster import installed
from cluster.fleets import process_of
from cluster.nodes import NUM_GPUS
from cluster.traffic import traffic
from control_plane.operators import wait_until

from flamingo_pod.model.builtin import tokenizer

LONG = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 6000,
    "stream": True,
    "logit_bias": {str(tokenizer.build().eos_token_id): -100},
}


@pytest.fixture(scope="module")
def fleet(fleet_in):
    made = fleet_in("audio")
    made.launch({"replicas": 2})
    return made


@pytest.fixture(scope="module")
def clip(clips):
    return clips["drums.wav"]


def test_a_question_is_answered_through_the_service(fleet, clip):
    audio = {"data": base64.b64encode(clip).decode(), "format": "wav"}
    content = [{"type": "input_audio", "input_audio": audio}, {"type": "text", "text": "Tempo?"}]

    def ask():
        with openai.OpenAI(base_url=f"{fleet.address}/v1", api_key="none") as client:
            answer = client.chat.completions.create(
                model="flamingo-tiny",
                messages=[{"role": "user", "content": content}],
                max_tokens=16,
            )
            return answer.choices[0].message.content

    assert fleet.cluster.inside(ask)


def test_the_plugin_says_how_the_fleet_does(fleet):
    assert "audio/music: Ready (AllReady)" in fleet.plugin("status", "music")
    rows = {row.split()[0]: row.split() for row in fleet.plugin("top", "music").splitlines()}
    for name in fleet.names():
        assert rows[name.removeprefix("music-")][1:3] == ["ready", "H200"]
    assert "pod.state_changed before=warming state=ready" in fleet.plugin("logs", "music")


def test_only_servers_carry_torch(fleet):
    look = "import importlib.util; print(importlib.util.find_spec('torch') is not None)"

    def carries_torch(namespace, workload):
        where = ("-n", namespace, "exec", workload, "--", "python", "-c", look)
        return fleet.cluster.output(*where).strip() == "True"

    assert carries_torch("audio", next(iter(fleet.names())))
    assert not carries_torch("audio", "deployment/music-router")
    assert not carries_torch(installed.HOME, f"deployment/{installed.NAME}")


async def streamed(session, address, begun):
    """Return why an answer ended that was streamed to its end."""
    async with session.post(f"{address}/v1/chat/completions", json=LONG) as answer:
        lines = [line async for line in events(answer, begun)]
    assert lines[-1] == b"data: [DONE]"
    return json.loads(lines[-2].removeprefix(b"data: "))["choices"][0]["finish_reason"]


async def events(answer, begun):
    async for line in answer.content:
        begun.set()
        if line.startswith(b"data: "):
            yield line.strip()


async def held_by(session, pod):
    async with session.get(f"http://{pod['status']['podIP']}:8000/stats") as answer:
        return (await answer.json())["num_running"]


async def busy_with_streams(fleet, session, tasks):
    """Return the streams that were begun until every server had one."""
    streams = []
    while not all([await held_by(session, pod) for pod in fleet.pods()]):
        begun = asyncio.Event()
        streams.append(tasks.create_task(streamed(session, fleet.address, begun)))
        await begun.wait()
    return streams


def test_a_server_that_leaves_finishes_what_it_streams_and_goes_when_it_is_empty(fleet):
    before = fleet.names()

    async def scenario():
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            streams = await busy_with_streams(fleet, session, tasks)
            await asyncio.to_thread(fleet.kubectl, "scale", "fd", "music", "--replicas=1")
            draining = await asyncio.to_thread(
                wait_until, lambda: fleet.status().get("draining"), "a server drains"
            )
            were_all_running = not any(stream.done() for stream in streams)
        return draining, were_all_running, [stream.result() for stream in streams]

    draining, were_all_running, ends = fleet.cluster.inside(lambda: asyncio.run(scenario()))
    assert were_all_running
    assert set(ends) == {"length"}
    (leaving,) = draining
    wait_until(lambda: leaving["pod"] not in fleet.names(), "it goes", within_s=20)
    assert fleet.names().items() < before.items()
    fleet.wait_complete(1)


def test_a_roll_with_a_free_gpu_fails_no_request(fleet, clip):
    fleet.kubectl("scale", "fd", "music", "--replicas=2")
    fleet.wait_complete(2)
    rolled_without_a_failure(fleet, clip, 2, "--max-concurrent-answers=64")


def test_a_roll_without_a_free_gpu_fails_no_request(fleet, clip):
    fleet.kubectl("scale", "fd", "music", f"--replicas={NUM_GPUS}")
    fleet.wait_complete(NUM_GPUS)
    rolled_without_a_failure(fleet, clip, NUM_GPUS, "--max-concurrent-answers=65")


def rolled_without_a_failure(fleet, clip, num, arg):
    before = fleet.names()
    with traffic(fleet.cluster, fleet.address, clip) as asked:
        fleet.change({"server": {"args": [arg]}})
        fleet.wait_complete(num)
    assert asked.failures == []
    assert asked.num_answered > num
    assert not fleet.names().keys() & before.keys()


def test_a_server_that_is_killed_costs_no_request_and_comes_back(fleet, clip):
    fleet.kubectl("scale", "fd", "music", "--replicas=2")
    fleet.wait_complete(2)
    victim = fleet.pods()[0]
    with traffic(fleet.cluster, fleet.address, clip) as asked:
        os.kill(process_of(victim), signal.SIGKILL)
        wait_until(lambda: fleet.reason("Ready") == "PartiallyReady", "it is told")
        wait_until(lambda: fleet.is_complete(2), "the server is back")
    assert asked.failures == []
    assert asked.num_answered > 0
    back = fleet.get("pod", victim["metadata"]["name"])["status"]["containerStatuses"][0]
    assert back["restartCount"] == 1
    assert back["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL
