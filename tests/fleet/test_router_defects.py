"""Defects that balancers have had, each ruled out by name; docs/router-faults.md lists all."""

import asyncio
import contextlib
import io
import re
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from fakes import pods, processes
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, caption_of, none_in_flight, routing, run

NUM_UPLOADS, UPLOAD_BYTES = 50, 30_000_000


class ForgetfulPod(FakePod):
    """Reads a body and discards it."""

    def __init__(self):
        super().__init__(release=asyncio.Event())
        self.has_begun = asyncio.Semaphore(0)

    async def _answer(self, request):
        self.has_begun.release()
        await self._wait_for_release()
        async for _ in request.content.iter_any():
            pass
        return pods.http.json_response(self._body(request.path))


class CountingPod(FakePod):
    """Keeps all requests in flight, and reports a second of work for each."""

    def __init__(self, **fields):
        super().__init__(release=asyncio.Event(), **fields)

    async def _stats(self, request):
        self.backlog_s = float(len(self.received))
        return await super()._stats(request)


def is_even(fleet):
    """Whether thirty requests are spread over three pods; a report may be one behind."""
    return all(9 <= each["num_open"] <= 11 for each in fleet["endpoints"])


def test_simultaneous_requests_are_spread_evenly():
    async def scenario():
        fakes = [CountingPod() for _ in range(3)]
        async with routing(*fakes, queue_threshold_s=1000) as router:
            asked = [asyncio.create_task(router.answer(CAPTIONS, caption_of(5))) for _ in range(30)]
            await router.until(lambda seen: sum(each["num_open"] for each in seen) == 30)
            _, fleet = await router.get("/fleet")
            for fake in fakes:
                fake.release.set()
            assert [(await each)[0] for each in asked] == [200] * 30
            assert is_even(fleet), fleet

    run(scenario)


def test_a_new_pod_gets_its_share_and_not_everything():
    async def scenario():
        fakes = [CountingPod(), CountingPod(), CountingPod(state="loading")]
        async with routing(*fakes, queue_threshold_s=1000) as router:

            async def ask(num, of_all):
                tasks = [
                    asyncio.create_task(router.answer(CAPTIONS, caption_of(5))) for _ in range(num)
                ]
                await router.until(lambda seen: sum(e["num_open"] for e in seen) == of_all)
                return tasks

            asked = await ask(10, 10)
            fakes[2].state = "ready"
            await router.until(lambda seen: all(each["ready"] for each in seen))
            asked += await ask(20, 30)
            _, fleet = await router.get("/fleet")
            for fake in fakes:
                fake.release.set()
            assert [(await each)[0] for each in asked] == [200] * 30
            assert is_even(fleet), fleet

    run(scenario)


@pytest.mark.parametrize("fault", ["400", "404", "413", "415", "422", "429", "503"])
def test_only_faults_of_the_pod_eject_it(fault):
    class Refusing(FakePod):
        async def _answer(self, request):
            await request.read()
            error = {"error": {"message": "no", "type": "x", "code": None, "param": None}}
            return web.json_response(error, status=int(fault))

    async def scenario():
        async with routing(Refusing(), FakePod()) as router:
            codes = Counter([(await router.answer(CHAT, QUESTION))[0] for _ in range(20)])
            assert codes[int(fault)] + codes[200] == 20
            _, fleet = await router.get("/fleet")
            assert [each["ejected"] for each in fleet["endpoints"]] == [False, False]

    run(scenario)


def test_requests_that_clients_abort_are_settled_once():
    async def scenario():
        fakes = [FakePod(release=asyncio.Event()) for _ in range(2)]
        async with routing(*fakes) as router:
            for _ in range(5):
                asked = [asyncio.create_task(router.answer(CHAT, QUESTION)) for _ in range(10)]
                await router.until(lambda seen: sum(each["num_open"] for each in seen) == 10)
                for each in asked:
                    each.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
                await router.until(none_in_flight)
            _, fleet = await router.get("/fleet")
            assert [each["num_open"] for each in fleet["endpoints"]] == [0, 0]
            assert all(each["ready"] for each in fleet["endpoints"])

    run(scenario)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_fifty_large_uploads_at_once_take_little_memory(tmp_path):
    """The uploads have 1.5 GB; the router may keep a mebibyte of each, and buffers."""
    pod = ForgetfulPod()
    body = bytes(UPLOAD_BYTES)

    async def upload(client, address):
        async with client.post(address + CHAT, data=io.BytesIO(body)) as answer:
            return answer.status

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            address = await stack.enter_async_context(pods.running(pod))
            client = await stack.enter_async_context(aiohttp.ClientSession())
            flags = ("--endpoint", address, "--max-backlog-s", "1e9", "--queue-threshold-s", "1e9")
            # This process is pod and clients at once, and answers no report while it is busy.
            flags += ("--unreachable-after-s", "60")
            router = stack.enter_context(
                processes.service("flamingo_router", *flags, log=tmp_path / "log")
            )
            await asyncio.to_thread(processes.wait_until_ready, router)
            uploads = [
                asyncio.create_task(upload(client, router.address)) for _ in range(NUM_UPLOADS)
            ]
            for _ in range(NUM_UPLOADS):
                begun = asyncio.create_task(pod.has_begun.acquire())
                await asyncio.wait({begun, *uploads}, return_when=asyncio.FIRST_COMPLETED)
                assert begun.done(), "an upload was refused"
            pod.release.set()
            assert [await each for each in uploads] == [200] * NUM_UPLOADS
            assert peak_bytes(router.process) < 300_000_000

    asyncio.run(scenario())


def peak_bytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
