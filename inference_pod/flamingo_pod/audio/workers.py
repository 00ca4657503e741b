"""The worker processes that decode. The pool is bounded, and a worker can be killed.

A decoder that hangs is killed at its deadline, one that crashes takes only its
own request with it, and one that swallows memory meets a limit.
"""

import asyncio
import ctypes
import multiprocessing
import resource
import signal
from concurrent.futures import TimeoutError as DeadlinePassed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from flamingo.errors import InvalidAudio
from flamingo_pod.audio import decode

MAX_WORKER_BYTES = 4 * 2**30
"""A 256 MiB body, 77 MB of samples for 20 minutes, and FFmpeg's own; the rest is head room."""
PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


@dataclass(slots=True)
class Decoders:
    """A pool of decoding processes."""

    num_workers: int
    deadline_s: float
    _pool: ProcessPool

    @classmethod
    def start(cls, *, num_workers: int, deadline_s: float) -> "Decoders":
        """Start the pool; the workers come up on first use."""
        pool = ProcessPool(
            max_workers=num_workers,
            initializer=_prepare_worker,
            # Not fork: this process has threads, and CUDA does not survive one.
            context=multiprocessing.get_context("spawn"),
        )
        return cls(num_workers, deadline_s, pool)

    async def decode(self, data: bytes, bounds: decode.Bounds) -> NDArray[np.float32]:
        """Return mono 16 kHz samples; when cancelled, the worker stops too.

        Raises:
            InvalidAudio, AudioTooLong: see `decode.decode`.
        """
        job = self._pool.schedule(decode.decode, args=[data, bounds], timeout=self.deadline_s)
        try:
            samples: NDArray[np.float32] = await asyncio.wrap_future(job)
        except DeadlinePassed:
            raise InvalidAudio(f"the audio took over {self.deadline_s:g} s to decode") from None
        except (ProcessExpired, MemoryError):
            raise InvalidAudio("the audio made its decoder fail") from None
        return samples

    def stop(self) -> None:
        """End all workers, and what they are doing."""
        self._pool.stop()
        self._pool.join()


def _prepare_worker() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_WORKER_BYTES, MAX_WORKER_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's to handle
    # A pod that is killed leaves no worker behind: pebble's workers share their
    # pipe, so none of them would ever read its end.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
