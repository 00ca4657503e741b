"""A pool of worker processes that measure clips, each within limits and at low CPU priority.

How it works: a worker is started by the first clip to measure and imports librosa then, so a pod
that measures nothing pays nothing. A clip that hangs, spins, allocates too much or crashes costs
its own measurements, which then say so: the answers of the model do not depend on them. Clips wait
for a worker in the order in which they came.
"""

import asyncio
import multiprocessing
import signal
import tempfile
from concurrent.futures import BrokenExecutor
from concurrent.futures import TimeoutError as MeasuringTimedOut
from dataclasses import dataclass, field

from pebble import ProcessExpired, ProcessPool

from flamingo_common.errors import FlamingoError
from flamingo_common.service import logs
from flamingo_pod.audio.decode import DecodeLimits
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileAddress, MemoryFileClosed
from flamingo_pod.measurement import compiled_code, worker
from flamingo_pod.measurement.results import ClipMeasurements

MAX_CPU_S = 60.0
"""Of one clip: 20 minutes take 11 s."""
MAX_START_S = 120.0
"""The first clip of a worker also waits for librosa, which may have to be compiled: 25 s of CPU."""
FAILED = "the clip could not be measured; the server's log has the reason"


class MeasuringFailed(Exception):
    """A clip could not be measured; the message is for the response."""


@dataclass(slots=True)
class MeasuringPool:
    """A pool of measuring workers."""

    num_workers: int
    timeout_s: float
    max_cpu_s: float = MAX_CPU_S
    _pool: ProcessPool | None = None
    _folder: "tempfile.TemporaryDirectory[str] | None" = None
    """Of compiled code."""
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def measure(self, clip: MemoryFile, limits: DecodeLimits) -> ClipMeasurements:
        """Return what can be measured; cancelling it stops the worker, too.

        Raises:
            MeasuringFailed: nothing can; the request is not the cause.
        """
        address = clip.address
        try:
            pool = await self._working_pool()
            return await self._run(pool, address, limits)
        except MeasuringTimedOut:
            reason = f"measuring the clip took longer than {self.timeout_s:g} s"
        except ProcessExpired as ended:
            reason = self._exit_message(ended)
        except MemoryError:
            reason = (
                f"measuring the clip took more than {worker.MAX_CLIP_BYTES >> 20} MiB of memory"
            )
        except FlamingoError as error:
            reason = error.message
        except (MemoryFileClosed, BrokenExecutor):
            reason = "the measuring process has ended"
        except (ImportError, OSError, RuntimeError) as error:  # of librosa and numba
            logs.get().error("measuring.failed", error=f"{type(error).__name__}: {error}")
            reason = FAILED
        raise MeasuringFailed(reason)

    async def _run(
        self, pool: ProcessPool, address: MemoryFileAddress, limits: DecodeLimits
    ) -> ClipMeasurements:
        job = pool.schedule(
            worker.measure_within_limits,
            args=[address, limits, self.max_cpu_s],
            timeout=self.timeout_s + MAX_START_S,
        )
        done: ClipMeasurements = await asyncio.wrap_future(job)
        return done

    def _exit_message(self, ended: ProcessExpired) -> str:
        if ended.exitcode == -signal.SIGXCPU:
            return f"measuring the clip took more than {self.max_cpu_s:g} s of CPU time"
        return "measuring the clip crashed its process"

    async def _working_pool(self) -> ProcessPool:
        """Return the pool, which is created by the first clip, and replaced after an error."""
        async with self._starting:
            if self._pool is not None and not self._pool.active:
                self.stop()
            if self._pool is None:
                # On a thread: it copies files.
                self._folder = await asyncio.to_thread(compiled_code.create_folder)
                self._pool = self._new_pool()
            return self._pool

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self.num_workers,
            initializer=worker.prepare,
            initargs=[None if self._folder is None else self._folder.name],
            # Not fork: this process has threads, and CUDA does not survive one.
            context=multiprocessing.get_context("spawn"),
        )

    def stop(self) -> None:
        """Kill all workers, and what they are doing."""
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
