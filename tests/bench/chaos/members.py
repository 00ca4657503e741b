"""The processes of a fleet: killed, stopped, terminated, and started again where they listened."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from fakes.processes import ONE_THREAD

from flamingo_common.service import run

START_S, END_S = 120.0, 60.0
LOOK_S = 0.1


@dataclass(eq=False)
class Member:
    """A router or a pod, and when it was disturbed."""

    name: str
    package: str
    folder: Path
    flags: Sequence[str] = ()
    port: int = 0
    num_starts: int = 0
    disturbed: list[tuple[float, float | None]] = field(default_factory=list)
    """From when until when, by the monotonic clock; None: still."""
    faults: list[str] = field(default_factory=list)
    """What it did that it must not."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_disturbed(self) -> bool:
        return bool(self.disturbed) and self.disturbed[-1][1] is None

    def was_disturbed(self, since_s: float) -> bool:
        """Whether it was, at some time since then."""
        return any(end_s is None or end_s >= since_s for _, end_s in self.disturbed)

    @contextlib.contextmanager
    def disturbing(self) -> Iterator[None]:
        """Note that it is disturbed meanwhile."""
        start_s = time.monotonic()
        self.disturbed.append((start_s, None))
        yield
        self.disturbed[-1] = (start_s, time.monotonic())

    def start(self) -> None:
        """Start it, where it listened before."""
        self.num_starts += 1
        listener = run.listen("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        fd = listener.fileno()
        command = [sys.executable, "-P", "-m", self.package, "--fd", str(fd), *self.flags]
        with self.log(self.num_starts).open("wb") as sink:
            self.process = subprocess.Popen(
                command, pass_fds=[fd], stdout=sink, stderr=sink, env=os.environ | ONE_THREAD
            )
        listener.close()

    def log(self, number: int) -> Path:
        return self.folder / f"{self.name}-{number}.log"

    async def until_ready(self) -> None:
        """Return when it reports ready; its end before that is a fault."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(START_S)) as client:
            deadline_s = time.monotonic() + START_S
            while time.monotonic() < deadline_s:
                if self.process.poll() is not None:
                    break
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(self.address + "/health/ready") as response:
                        if response.ok:
                            return
                await asyncio.sleep(LOOK_S)
        self.faults.append(f"start {self.num_starts} did not become ready")

    async def until_ended(self) -> int | None:
        """Return its exit status; None: it did not end."""
        deadline_s = time.monotonic() + END_S
        while time.monotonic() < deadline_s:
            if (status := self.process.poll()) is not None:
                return status
            await asyncio.sleep(LOOK_S)
        return None

    async def kill(self, pause_s: float) -> None:
        """Kill it, and start it again after a pause."""
        with self.disturbing():
            self.end()
            await self._again(pause_s)

    async def terminate(self, pause_s: float) -> None:
        """Let it end by itself, and start it again after a pause."""
        with self.disturbing():
            self.process.terminate()
            if (status := await self.until_ended()) != 0:
                self.faults.append(f"exit status {status} after SIGTERM")
                self.end()
            await self._again(pause_s)

    async def stop(self, pause_s: float) -> None:
        """Suspend it for a while."""
        with self.disturbing():
            self.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(pause_s)
            self.process.send_signal(signal.SIGCONT)
            await self.until_ready()

    async def _again(self, pause_s):
        await asyncio.sleep(pause_s)
        self.start()
        await self.until_ready()

    def end(self) -> None:
        """Kill it for good."""
        self.process.kill()
        self.process.wait()

    def tracebacks(self) -> list[str]:
        """Return the last lines of the logs that hold a traceback."""
        texts = [
            self.log(number + 1).read_text(errors="replace") for number in range(self.num_starts)
        ]
        return [text[-3000:] for text in texts if "Traceback" in text]
