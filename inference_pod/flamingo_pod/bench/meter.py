"""CPU time, wall-clock time and memory of this process."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from flamingo_pod.bench.results import ResourceUsage

BYTES_PER_RSS = 1 if sys.platform == "darwin" else 1024


def cpu_s() -> float:
    """Return the CPU-seconds of this process and of its child processes that have ended."""
    both = (_rusage(resource.RUSAGE_SELF), _rusage(resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in both)


@dataclass(slots=True)
class ResourceMeter:
    """Wall-clock and CPU time since its creation."""

    started_s: float = field(default_factory=time.perf_counter)
    started_cpu_s: float = field(default_factory=cpu_s)

    def now_s(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self.started_s

    def wait_until(self, moment_s: float) -> None:
        """Sleep until `moment_s` after the start."""
        time.sleep(max(0.0, moment_s - self.now_s()))

    def stop(self) -> ResourceUsage:
        """Return the resources used since the start."""
        return ResourceUsage(
            cpu_s=cpu_s() - self.started_cpu_s,
            wall_s=self.now_s(),
            peak_rss_bytes=_rusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_RSS,
        )


@contextlib.contextmanager
def add_cpu_time(into: dict[str, float], stage: str) -> Iterator[None]:
    """Add the CPU-seconds of the block to `into[stage]`."""
    before_s = cpu_s()
    try:
        yield
    finally:
        into[stage] = into.get(stage, 0.0) + cpu_s() - before_s


def _rusage(who: int) -> resource.struct_rusage:
    return resource.getrusage(who)
