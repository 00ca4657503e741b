"""A fleet of one pod, which dies and comes back."""

import asyncio
import contextlib

import pytest
from fakes import processes
from fakes.router_processes import CHAT, QUESTION, STREAMED, ask, lines_of, run, until


@contextlib.contextmanager
def one_pod(tmp_path, **fields):
    """Run a router with one pod; yield router, pod and how to start its successor there."""
    with contextlib.ExitStack() as stack:
        pod = stack.enter_context(processes.fake_pod(tmp_path / "pod", **fields))
        flags = ("--endpoint", pod.address, "--heartbeat-interval-s", "0.2")
        router = stack.enter_context(
            processes.service("flamingo_router", *flags, log=tmp_path / "router")
        )
        processes.wait_until_ready(router)
        port = int(pod.address.rpartition(":")[2])

        def succeed():
            again = processes.fake_pod(tmp_path / "again", port=port, epoch="2")
            stack.enter_context(again)

        yield router, pod, succeed


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_the_only_pod_held_when_it_died_is_held_until_it_is_back(tmp_path, is_stream):
    with one_pod(tmp_path, answer_s=60) as (router, pod, succeed):
        body = STREAMED if is_stream else QUESTION

        async def status_of(client):
            async with client.post(router.address + CHAT, json=body) as answer:
                text = await answer.text()
                return answer.status, text.rstrip().endswith("data: [DONE]")

        async def scenario(client):
            held = asyncio.create_task(status_of(client))
            await until(client, router, lambda seen: seen[0]["num_open"])
            pod.process.kill()
            pod.process.wait()
            await until(client, router, lambda seen: not seen[0]["ready"])
            late = asyncio.create_task(ask(client, router))
            succeed()
            return await held, (await late)[0]

        assert run(scenario) == ((200, is_stream), 200)
        tried = [line["attempts"] for line in lines_of(router.log) if line.get("path") == CHAT]
        assert sorted(tried) == [1, 2]


def test_a_request_that_only_breaks_its_connection_is_not_held(tmp_path):
    with one_pod(tmp_path, aborts_unanswered=True) as (router, *_):
        assert run(lambda client: ask(client, router))[0] == 502


def test_an_id_is_refused_at_once_with_its_field_when_no_pod_is_left(tmp_path):
    part = {"type": "file", "file": {"file_id": "clip-" + "0" * 40}}
    content = [{"type": "text", "text": "What key is this in?"}, part]
    body = {"messages": [{"role": "user", "content": content}]}
    with one_pod(tmp_path) as (router, pod, _):

        async def scenario(client):
            pod.process.kill()
            pod.process.wait()
            await until(client, router, lambda seen: not seen[0]["ready"])
            return await ask(client, router, body)

        status, answer = run(scenario)
    assert (status, answer["error"]["code"]) == (404, "clip_not_held")
    assert answer["error"]["param"] == "messages[0].content[1]"
    [line] = [line for line in lines_of(router.log) if line.get("path") == CHAT]
    assert "attempts" not in line
