"""Pods that sleep instead of computing: all pods behind one proxy, in one process.

    python pods.py ORDER FD [FD…]

Each pod is the simulator's, driven by the real clock, behind the API of our pods. One process is
fair because a pod that sleeps uses the CPU only to read and write, and each proxy has such a
process of its own. `GET /bench` tells how late its event loop was at worst, which is what the
pods were slower than they should be.
"""

import asyncio
import io
import json
import re
import socket
import sys
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench import simulator
from bench.flood_sim import AGEING_S
from fakes.pods import FakePod

from flamingo_common.service import http, logs
from flamingo_common.wire import sse
from flamingo_common.wire.report import CLIP_HEADER

ORDERS = ("shortest first", "in order")
NUM_TOKENS = re.compile(rb"(\d+) tokens")
BEAT_S = 0.05


@dataclass
class RealTime:
    """The simulator's world, with the clock of the machine."""

    shortest_first: bool
    ageing_s: float = AGEING_S

    @property
    def now_s(self) -> float:
        return time.monotonic()

    def after(self, seconds, call, *args):
        asyncio.get_running_loop().call_later(seconds, call, *args)


@dataclass
class Caller:
    """What the simulator calls the router: it is told how far a request is."""

    has_first_token: asyncio.Event = field(default_factory=asyncio.Event)
    has_last_token: asyncio.Event = field(default_factory=asyncio.Event)

    def answered(self, _):
        self.has_first_token.set()

    def settled(self, _):
        self.has_last_token.set()


@dataclass(eq=False)
class Lane(simulator.Pod):
    """The simulator's pod, whose clients may go away."""

    cancelled: set[simulator.Job] = field(default_factory=set)

    def cancel(self, job):
        """Stop the work for a request; a step that is being computed is finished."""
        job.left_s = 0.0
        if job in self.waiting:
            self.waiting.remove(job)
        self.decoding.discard(job)
        self.cancelled.add(job)
        self._advance()

    def _prefilled(self, job, epoch):
        if job not in self.cancelled:
            return super()._prefilled(job, epoch)
        self.prefilling = None
        return self._advance()

    def _decoded(self, job, epoch):
        if job not in self.cancelled:
            super()._decoded(job, epoch)


@dataclass
class SleepingPod(FakePod):
    """A pod of which each request takes as long as the cost model says."""

    lane: Lane | None = None
    num_taken: int = 0
    num_done: int = 0

    async def _stats(self, _):
        return http.json_response(self.lane.report())

    async def _answer(self, request):
        body, caller = await request.read(), Caller()
        job = self._job(body, request.headers.get(CLIP_HEADER), caller)
        self.lane.take(job)
        try:
            await caller.has_first_token.wait()
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await self._write(response, self._chunk(request.path, "a "))
            await caller.has_last_token.wait()
            await self._write(response, self._last_chunk(request.path))
            await response.write(sse.DONE)
            self.num_done += 1
            return response
        finally:
            if not caller.has_last_token.is_set():
                self.lane.cancel(job)

    def _job(self, body, clip, caller):
        with wave.open(io.BytesIO(body[body.index(b"RIFF") :])) as wav:
            audio_s = wav.getnframes() / wav.getframerate()
        self.num_taken += 1
        num_tokens = int(NUM_TOKENS.search(body)[1])
        job = simulator.Job(0.0, audio_s, num_tokens, clip or f"clip-{self.num_taken}", audio_s)
        job.router = caller
        return job

    async def _write(self, response, event):
        await response.write(sse.encode_event(json.dumps(event)))


@dataclass
class Process:
    """The pods of this process, and how late its event loop was."""

    pods: list[SleepingPod]
    max_lag_s: float = 0.0

    async def measure_lag(self):
        while True:
            due_s = time.monotonic() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.max_lag_s = max(self.max_lag_s, time.monotonic() - due_s)

    async def report(self, _):
        """Return what happened since the last report."""
        told = {
            "max_lag_s": self.max_lag_s,
            "num_taken": [pod.num_taken for pod in self.pods],
            "num_done": [pod.num_done for pod in self.pods],
        }
        self.max_lag_s = 0.0
        for pod in self.pods:
            pod.num_taken = pod.num_done = 0
        return web.json_response(told)


async def main(order, *fds):
    """Serve one pod on each listening socket."""
    logs.configure(service="pods", level="error")
    world = RealTime(shortest_first=order == ORDERS[0])
    process = Process([SleepingPod(lane=Lane(world, fd, 1.0)) for fd in fds])
    for fd, pod in zip(fds, process.pods, strict=True):
        app = pod.app()
        app.router.add_get("/bench", process.report)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.SockSite(runner, socket.socket(fileno=int(fd)), backlog=4096).start()
    await process.measure_lag()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
