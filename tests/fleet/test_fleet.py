"""A real router before real pods: balance, loss, disconnects."""

import asyncio
import json
import re
import signal

import aiohttp
import httpx2
from fakes import polling, processes
from fakes.patience import PATIENCE_S

from flamingo_pod.model.builtin import tokenizer

NUM_TOKENS = 20_000
LONG = {
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": NUM_TOKENS,
    "stream": True,
    "logit_bias": {str(tokenizer.build().eos_token_id): -100},
}


async def finished(session, addresses):
    """Return once no pod holds a request: each question is answered by a real pod."""
    for address in addresses:

        async def is_idle(address=address):
            async with session.get(f"{address}/stats") as answer:
                stats = await answer.json()
            return stats["num_running"] + stats["num_waiting"] == 0

        await polling.until(is_idle)


def num_steps(pods):
    """Return how many steps the pods' engines have done, of which each generates a token."""
    pages = [httpx2.get(f"{pod.address}/metrics", timeout=PATIENCE_S).text for pod in pods]
    found = re.findall(r"^flamingo_engine_steps_total (\S+)$", "\n".join(pages), re.MULTILINE)
    return sum(map(float, found))


def test_a_client_that_goes_away_frees_the_engine(fleet):
    router, pods = fleet
    before = num_steps(pods)

    async def scenario():
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{router.address}/v1/chat/completions", json=LONG) as answer:
                await answer.content.readline()
                answer.close()
            addresses = [pod.address for pod in pods]
            await asyncio.wait_for(finished(session, addresses), PATIENCE_S)

    asyncio.run(scenario())
    assert 0 < num_steps(pods) - before < NUM_TOKENS


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
                await chosen(session, messages=short, max_tokens=3)
            async with session.get(f"{router.address}/fleet") as answer:
                after = (await answer.json())["endpoints"]
            busy.close()
            return loaded, before, after

    loaded, before, after = asyncio.run(scenario())
    assert len(before) == 2
    assert [each["address"] for each in after if each["num_open"]] == [loaded], "it is not over yet"


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
                    timeout=PATIENCE_S,
                )
                assert answer.status_code == 200, answer.text
            # It may have taken none of them, and is polled once a second.
            asyncio.run(polling.until(lambda: has_one_ready_pod(router)))


async def has_one_ready_pod(router):
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as client:
        return (await client.get(f"{router.address}/health/ready")).json()["ready"] == 1


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
            with httpx2.stream("POST", url, json=LONG, timeout=PATIENCE_S) as answer:
                lines = answer.iter_lines()
                next(lines)
                running.process.kill()
                *_, last = (line for line in lines if line)
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_lost"
