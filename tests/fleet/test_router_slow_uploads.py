"""Clients that announce long clips and send them slowly, by raw socket."""

import asyncio
import contextlib
import json

from fakes.patience import PATIENCE_S
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, caption_of, routing, run

BODY = json.dumps(caption_of(1200)).encode()
HEAD = f"POST {CAPTIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
NUM = 40
ARRIVED = len(BODY) // 8


async def trickling(stack, router):
    """Begin `NUM` uploads of 20 minutes, of which an eighth arrives; return the connections."""
    opened = []
    for _ in range(NUM):
        reader, writer = await stack.enter_async_context(router.connection())
        writer.write(HEAD + BODY[:ARRIVED])
        opened.append((reader, writer))
    await router.until(lambda seen: sum(each["num_open"] for each in seen) == NUM)
    return opened


def test_slow_uploads_do_not_close_an_idle_fleet():
    async def scenario():
        pods = FakePod(window_s=0.3), FakePod(window_s=0.3)  # 13 s a clip, and 120 s are the limit
        limits = {"max_backlog_s": 120, "queue_threshold_s": 30}
        async with routing(*pods, **limits) as router, contextlib.AsyncExitStack() as stack:
            opened = await trickling(stack, router)
            await router.until(lambda seen: max(each["backlog_s"] for each in seen) < 60)
            assert (await router.answer(CHAT, QUESTION))[0] == 200
            for _, writer in opened:
                writer.write(BODY[ARRIVED:])
            statuses = [await reader.readline() for reader, _ in opened]
            assert {status[9:12] for status in statuses} == {b"200"}

    run(scenario)


def test_a_client_may_have_only_so_many_slow_uploads_open():
    async def scenario():
        limits = {"max_slow_uploads_per_client": NUM, "queue_threshold_s": 1e6}
        async with routing(FakePod(), **limits) as router, contextlib.AsyncExitStack() as stack:
            await trickling(stack, router)
            async with asyncio.timeout(PATIENCE_S):
                while (answer := await router.answer(CAPTIONS, caption_of(300)))[0] == 200:
                    pass
            status, body, headers = answer
            assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
            assert int(headers["Retry-After"]) > 0
            assert (await router.answer(CHAT, QUESTION))[0] == 200  # too small to be counted

    run(scenario)
