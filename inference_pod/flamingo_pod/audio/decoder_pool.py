"""The worker processes that decode. The pool is bounded, and a worker can be killed.

A decoder that hangs is killed at its deadline, one that burns its processor at
its share of it, one that crashes takes only its own request with it, and one
that swallows memory meets a limit.
"""

import asyncio
import ctypes
import math
import multiprocessing
import resource
import signal
import time
from concurrent.futures import TimeoutError as DeadlinePassed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import decode
from flamingo_pod.audio.decode import DecodeLimits, DecodeResult
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileAddress

MAX_CLIP_BYTES = 128 * 2**20
"""What a worker may map beyond itself. Twenty minutes of any format take 2 to 6 MB of it, for
neither body nor samples are in its memory (docs/benchmarks.md)."""
MAX_CPU_S = 30.0
"""Twenty minutes of Opus, the slowest format, take three."""
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """What a clip's file held."""

    samples: NDArray[np.float32]
    is_truncated: bool
    header_duration_s: float | None
    """How long its header says it is."""


def _pool_of(num_workers: int) -> ProcessPool:
    return ProcessPool(
        max_workers=num_workers,
        initializer=_prepare_worker,
        # Not fork: this process has threads, and CUDA does not survive one.
        context=multiprocessing.get_context("spawn"),
    )


@dataclass(slots=True)
class DecoderPool:
    """A pool of decoding processes."""

    num_workers: int
    deadline_s: float
    max_cpu_s: float = MAX_CPU_S
    _pool: ProcessPool = field(init=False)

    def __post_init__(self) -> None:
        """Start the pool; the workers come up on first use."""
        self._pool = _pool_of(self.num_workers)

    async def decode(self, clip: MemoryFile, bounds: DecodeLimits) -> DecodedClip:
        """Return mono 16 kHz samples; when cancelled, the worker stops too.

        Raises:
            InvalidAudio, AudioTooLong: see `decode.decode`.
        """
        with MemoryFile() as target:
            done = await self._run(clip.address, target.address, bounds)
            return DecodedClip(
                target.floats()[: done.num_samples], done.is_truncated, done.header_duration_s
            )

    async def _run(
        self, source: MemoryFileAddress, target: MemoryFileAddress, bounds: DecodeLimits
    ) -> DecodeResult:
        job = self._working_pool().schedule(
            _work, args=[source, target, bounds, self.max_cpu_s], timeout=self.deadline_s
        )
        try:
            done: DecodeResult = await asyncio.wrap_future(job)
        except DeadlinePassed:
            raise InvalidAudio(f"the audio took over {self.deadline_s:g} s to decode") from None
        except ProcessExpired as ended:
            raise InvalidAudio(self._why(ended)) from None
        except MemoryError:
            raise InvalidAudio(
                f"the audio took over {MAX_CLIP_BYTES >> 20} MiB to decode"
            ) from None
        return done

    def _why(self, ended: ProcessExpired) -> str:
        if ended.exitcode == -signal.SIGXCPU:
            return f"the audio took over {self.max_cpu_s:g} s of a processor to decode"
        return "the audio made its decoder fail"

    def _working_pool(self) -> ProcessPool:
        """Return the pool; a new one where pebble has given the old one up."""
        if not self._pool.active:
            self.stop()
            self._pool = _pool_of(self.num_workers)
        return self._pool

    def stop(self) -> None:
        """End all workers, and what they are doing."""
        self._pool.stop()
        self._pool.join()


def _work(
    source: MemoryFileAddress, target: MemoryFileAddress, bounds: DecodeLimits, max_cpu_s: float
) -> DecodeResult:
    """Decode one clip in this process, within its share of the processor."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    spent_s = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(spent_s + max_cpu_s), hard))
    return decode.decode_clip(source, target, bounds)


def _prepare_worker() -> None:
    # From here on: libraries are mapped already, and how much that is differs by machine.
    limit = _mapped_bytes() + MAX_CLIP_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's to handle
    # A pod that is killed leaves no worker behind: pebble's workers share their
    # pipe, so none of them would ever read its end.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _mapped_bytes() -> int:
    num_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return num_pages * resource.getpagesize()
