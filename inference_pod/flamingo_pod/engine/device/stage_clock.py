"""How long stages take on the device, which is later than when they are launched.

How it works: on a GPU the host's clock would measure how long launching takes. So an event is
recorded on the device before and after each stage, and their difference is taken once both have
happened: `settle` takes what is there and waits for nothing. On a CPU launching is computing.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch


class Mark(Protocol):
    """A moment on the device."""

    def has_passed(self) -> bool:
        """Whether the device has reached it."""
        ...

    def seconds_since(self, earlier: "Mark") -> float:
        """Return the time between two marks of one kind that have passed."""
        ...


class HostMark:
    """A moment on the host."""

    def __init__(self) -> None:
        self.moment_s = time.monotonic()

    def has_passed(self) -> bool:
        """Return true."""
        return True

    def seconds_since(self, earlier: Mark) -> float:
        """Return the time between two marks."""
        assert isinstance(earlier, HostMark)
        return self.moment_s - earlier.moment_s


class CudaMark:
    """When the current stream has done all that was launched before."""

    def __init__(self) -> None:
        self.event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self.event.record()

    def has_passed(self) -> bool:
        """Whether the device has reached it."""
        return bool(self.event.query())  # type: ignore[no-untyped-call]

    def seconds_since(self, earlier: Mark) -> float:
        """Return the time between two marks that have passed."""
        assert isinstance(earlier, CudaMark)
        return float(earlier.event.elapsed_time(self.event)) / 1000


Add = Callable[[float], None]
"""Receives the seconds that a stage took."""


class StageClock:
    """Measures the stages of one engine."""

    def __init__(self, create_mark: Callable[[], Mark]) -> None:
        self._create_mark = create_mark
        self._open: deque[tuple[Mark, Mark, Add]] = deque()

    @classmethod
    def of_device(cls, device: torch.device) -> "StageClock":
        """Return the clock for what runs on `device`."""
        return cls(CudaMark if device.type == "cuda" else HostMark)

    @contextmanager
    def stage(self, add: Add) -> Iterator[None]:
        """Measure what the block launches; `add` is called by a later `settle`."""
        start = self._create_mark()
        yield
        self._open.append((start, self._create_mark(), add))

    def settle(self) -> None:
        """Add the stages that the device has finished, in the order of their launches."""
        while self._open and self._open[0][1].has_passed():
            start, end, add = self._open.popleft()
            add(end.seconds_since(start))
