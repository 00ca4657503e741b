"""A pool of worker processes that decode audio, each within limits.

A decoder that hangs is killed at its timeout, one that spins at its limit of CPU time, and one
that allocates too much fails at its memory limit. A crash fails only the request it belongs to.
"""

import asyncio
import multiprocessing
import signal
from concurrent.futures import TimeoutError as DecodeTimedOut
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from flamingo_common.errors import InvalidAudio
from flamingo_pod.audio import decode, worker_limits
from flamingo_pod.audio.decode import DecodeLimits, DecodeResult
from flamingo_pod.audio.memory_file import MemoryFile, MemoryFileAddress

MAX_CLIP_BYTES = 128 * 2**20
"""Address space for one clip, beyond the worker's own. Twenty minutes of any format take 2 to 6 MB,
since neither body nor samples are in the worker's memory (docs/benchmarks.md)."""
MAX_CPU_S = 30.0
"""Twenty minutes of Opus, the slowest format, take 3 s."""


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """A clip's audio: mono float32 at 16 kHz."""

    samples: NDArray[np.float32]
    is_truncated: bool
    header_duration_s: float | None
    """Its duration according to its header."""
    missing_s: float = 0.0
    """Seconds that are missing in it, or at its end."""
    clip_s: float | None = None
    """The length of the whole clip, if that is known."""


def _new_pool(num_workers: int) -> ProcessPool:
    return ProcessPool(
        max_workers=num_workers,
        initializer=_prepare_worker,
        # Not fork: this process has threads, and CUDA does not survive one.
        context=multiprocessing.get_context("spawn"),
    )


@dataclass(slots=True)
class DecoderPool:
    """A pool of decode workers."""

    num_workers: int
    timeout_s: float
    max_cpu_s: float = MAX_CPU_S
    _pool: ProcessPool = field(init=False)

    def __post_init__(self) -> None:
        """Create the pool; the workers start on first use."""
        self._pool = _new_pool(self.num_workers)

    async def decode(self, clip: MemoryFile, limits: DecodeLimits) -> DecodedClip:
        """Return the decoded clip; cancelling it stops the worker, too.

        Raises:
            InvalidAudio: it cannot be decoded, or not within the worker's limits.
            AudioDamaged: more of it is missing than `limits.allow_damaged` allows.
            AudioTooLong: longer than `limits.max_seconds`, and not to be truncated.
        """
        with MemoryFile() as target:
            done = await self._run(clip.address, target.address, limits)
            return DecodedClip(
                target.as_float32()[: done.num_samples],
                done.is_truncated,
                done.header_duration_s,
                done.missing_s,
                done.clip_s,
            )

    async def _run(
        self, source: MemoryFileAddress, target: MemoryFileAddress, limits: DecodeLimits
    ) -> DecodeResult:
        job = self._working_pool().schedule(
            _decode_within_cpu_limit,
            args=[source, target, limits, self.max_cpu_s],
            timeout=self.timeout_s,
        )
        try:
            done: DecodeResult = await asyncio.wrap_future(job)
        except DecodeTimedOut:
            raise InvalidAudio(
                f"decoding the audio took longer than {self.timeout_s:g} s"
            ) from None
        except ProcessExpired as ended:
            raise InvalidAudio(self._exit_message(ended)) from None
        except MemoryError:
            raise InvalidAudio(
                f"decoding the audio took more than {MAX_CLIP_BYTES >> 20} MiB of memory"
            ) from None
        return done

    def _exit_message(self, ended: ProcessExpired) -> str:
        if ended.exitcode == -signal.SIGXCPU:
            return f"decoding the audio took more than {self.max_cpu_s:g} s of CPU time"
        return "the audio crashed its decoder; is the file corrupt?"

    def _working_pool(self) -> ProcessPool:
        """Return the pool, replaced if pebble has shut it down after an error."""
        if not self._pool.active:
            self.stop()
            self._pool = _new_pool(self.num_workers)
        return self._pool

    def stop(self) -> None:
        """Kill all workers, and what they are doing."""
        self._pool.stop()
        self._pool.join()


def _decode_within_cpu_limit(
    source: MemoryFileAddress, target: MemoryFileAddress, limits: DecodeLimits, max_cpu_s: float
) -> DecodeResult:
    """Decode one clip in this process, within a limit of CPU time."""
    worker_limits.limit_cpu_time(max_cpu_s)
    return decode.decode_clip(source, target, limits)


def _prepare_worker() -> None:
    worker_limits.limit_memory(MAX_CLIP_BYTES)
    worker_limits.end_with_parent()
