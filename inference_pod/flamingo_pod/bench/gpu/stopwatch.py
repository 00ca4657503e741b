"""Wall time of work on a device, which is queued: it is waited for before and after."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(slots=True)
class Stopwatch:
    """Seconds of the block that `timed` encloses."""

    elapsed_s: float = 0.0


@contextmanager
def timed(device: torch.device) -> Iterator[Stopwatch]:
    """Measure the block, with all that it queues on the device."""
    watch = Stopwatch()
    wait(device)
    started_s = time.perf_counter()
    yield watch
    wait(device)
    watch.elapsed_s = time.perf_counter() - started_s


def wait(device: torch.device) -> None:
    """Wait for all that is queued on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
