"""Small questions, one after the other, for as long as something happens to the fleet."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp
from cluster.nodes import Cluster, enter_network

NUM_ASKING = 2
PAUSE_S = 0.2
"""Between an answer and the next question: a crowd would take the node from servers that start."""
ANSWER_S = 60


@dataclass
class Traffic:
    """What became of the questions: nobody asks a second time."""

    num_answered: int = 0
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def traffic(cluster: Cluster, address: str, clip: bytes) -> Iterator[Traffic]:
    """Ask about `clip` while the block lasts; every question that was begun is finished."""
    told, stop = Traffic(), threading.Event()

    def ask() -> None:
        enter_network(cluster.network)
        asyncio.run(_asking(told, stop, f"{address}/v1/audio/captions", clip))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


async def _asking(told: Traffic, stop: threading.Event, url: str, clip: bytes) -> None:
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
        for _ in range(NUM_ASKING):
            tasks.create_task(_one_after_the_other(told, stop, session, url, clip))


async def _one_after_the_other(
    told: Traffic, stop: threading.Event, session: aiohttp.ClientSession, url: str, clip: bytes
) -> None:
    while not stop.is_set():
        form = aiohttp.FormData({"max_tokens": "8"})
        form.add_field("file", clip, filename="clip.wav")
        try:
            async with session.post(url, data=form) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            told.failures.append(repr(error))
            continue
        if answer.status == 200:
            told.num_answered += 1
        else:
            told.failures.append(f"{answer.status} {text}")
        await asyncio.sleep(PAUSE_S)
