"""A real router before real pods: balance, loss, disconnects."""

import asyncio
import json
import signal

import aiohttp
import httpx2
from fakes import processes

LONG = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20_000, "stream": True}


async def finished(session, addresses):
    """Return once no pod holds a request: each question is answered by a real pod."""
    for address in addresses:
        while True:
            async with session.get(f"{address}/stats") as answer:
                stats = await answer.json()
            if stats["num_running"] + stats["num_waiting"] == 0:
                break


def test_a_client_that_goes_away_frees_the_engine(fleet):
    router, pods = fleet

    async def scenario():
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{router.address}/v1/chat/completions", json=LONG) as answer:
                await answer.content.readline()
                answer.close()
            # 20,000 tokens would take a minute.
            await asyncio.wait_for(finished(session, [pod.address for pod in pods]), 10)

    asyncio.run(scenario())


def test_work_goes_where_less_is_left(fleet, clips):
    router, _ = fleet

    async def chosen(session, **body):
        async with session.post(f"{router.address}/v1/chat/completions", json=body) as answer:
            await answer.read()

    async def scenario():
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{router.address}/v1/chat/completions", json=LONG) as busy,
        ):
            await busy.content.readline()
            async with session.get(f"{router.address}/fleet") as answer:
                before = (await answer.json())["endpoints"]
            (loaded,) = [endpoint["address"] for endpoint in before if endpoint["num_open"]]
            short = [{"role": "user", "content": "Hello"}]
            for _ in range(4):
                async with asyncio.timeout(10):  # behind the long one it would take a minute
                    await chosen(session, messages=short, max_tokens=3)
            busy.close()
            return loaded, [endpoint["address"] for endpoint in before]

    loaded, addresses = asyncio.run(scenario())
    assert len(addresses) == 2
    assert loaded in addresses


def test_a_pod_that_is_killed_costs_no_request_that_had_not_begun(model_cache, tmp_path, clips):
    def pod(name, ends_with):
        flags = ("--model", "flamingo-tiny")
        return processes.service("flamingo_pod", *flags, log=tmp_path / name, ends_with=ends_with)

    with pod("kept", 0) as kept, pod("killed", -signal.SIGKILL) as killed:
        for running in (kept, killed):
            processes.wait_until_ready(running)
        flags = ["--endpoint", killed.address, "--endpoint", kept.address]
        with processes.service("flamingo_router", *flags, log=tmp_path / "router") as router:
            processes.wait_until_ready(router)
            killed.process.kill()
            killed.process.wait()
            for _ in range(6):
                answer = httpx2.post(
                    f"{router.address}/v1/audio/captions",
                    files={"file": clips["notes.mp3"]},
                    data={"max_tokens": "2"},
                    timeout=30,
                )
                assert answer.status_code == 200, answer.text
            ready = httpx2.get(f"{router.address}/health/ready").json()
        assert ready["ready"] == 1


def test_a_stream_that_breaks_says_so(model_cache, tmp_path):
    doomed = processes.service(
        "flamingo_pod", "--model", "flamingo-tiny", log=tmp_path / "pod", ends_with=-signal.SIGKILL
    )
    with doomed as running:
        processes.wait_until_ready(running)
        flags = ["--endpoint", running.address]
        with processes.service("flamingo_router", *flags, log=tmp_path / "router") as router:
            processes.wait_until_ready(router)
            url = f"{router.address}/v1/chat/completions"
            with httpx2.stream("POST", url, json=LONG, timeout=30) as answer:
                lines = answer.iter_lines()
                next(lines)
                running.process.kill()
                *_, last = (line for line in lines if line)
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_lost"
