"""What the processes of a fleet use: memory, descriptors, threads, temporary files, caches.

Everything is read from outside, from /proc and `/metrics`, so the readings cost the services
next to nothing.
"""

import statistics
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

MB = 1e6
WARM_UP = 0.2
"""The part of a run that fills caches, pools and arenas; growth counts from its end."""
END = 0.1
"""The part at either end whose median is compared: a single reading may catch a request."""
MAX_GROWTH_MB = 20.0
CACHES = ("states", "embeddings")
ROLES = {"resource_tracker": "resource tracker", "spawn_main": "decode worker"}
"""By what the command line of a child process contains."""


@dataclass(frozen=True)
class Reading:
    """What one process uses at one moment."""

    at_s: float
    anonymous_mb: float
    """Private memory, `RssAnon`: heaps, stacks and tensors."""
    shared_mb: float
    """Memory files that are mapped, `RssShmem`."""
    num_descriptors: int
    num_sockets: int
    num_memory_files: int
    """Open descriptors of memory files (memfd)."""
    num_temporary_files: int
    """Open descriptors of files that were deleted, and files in the folder for temporary files."""
    num_threads: int
    num_children: int
    caches_mb: Mapping[str, float] = field(default_factory=dict)
    """What the named caches of a pod hold."""
    extents: Mapping[str, int] = field(default_factory=dict)
    """The KV pool's extents, by state."""
    reserved_mb: float = 0.0
    """Of requests in flight."""


def children_of(pid: int) -> list[int]:
    """Return the processes that `pid` has started."""
    path = Path(f"/proc/{pid}/task")
    try:
        lists = [(task / "children").read_text(encoding="ascii") for task in path.iterdir()]
    except OSError:  # it has just ended
        return []
    return [int(child) for each in lists for child in each.split()]


def role_of(pid: int) -> str | None:
    """Return what a child process of a pod is; None if it runs for one request only.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProcessLookupError from None
    return next((role for part, role in ROLES.items() if part in command), None)


def read_process(pid: int, at_s: float, temporary: Path) -> Reading:
    """Return what a process uses, without its children.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        targets = _descriptors(pid)
    except FileNotFoundError:
        raise ProcessLookupError from None
    status = dict(line.split(":", 1) for line in lines)
    if "RssAnon" not in status:  # it waits to be reaped
        raise ProcessLookupError
    deleted = [t for t in targets if t.endswith("(deleted)") and not t.startswith("/memfd:")]
    return Reading(
        at_s=at_s,
        anonymous_mb=_kib(status["RssAnon"]) * 1024 / MB,
        shared_mb=_kib(status["RssShmem"]) * 1024 / MB,
        num_descriptors=len(targets),
        num_sockets=sum(target.startswith("socket:") for target in targets),
        num_memory_files=sum(target.startswith("/memfd:") for target in targets),
        num_temporary_files=len(deleted) + sum(1 for _ in temporary.rglob("*")),
        num_threads=int(status["Threads"]),
        num_children=len(children_of(pid)),
    )


def _kib(text: str) -> int:
    return int(text.split(maxsplit=1)[0])


def _descriptors(pid: int) -> list[str]:
    targets = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            targets.append(str(link.readlink()))
        except FileNotFoundError:  # closed since it was listed
            continue
    return targets


def read_metrics(address: str) -> dict[str, dict[str, float]]:
    """Return a service's gauges and counters: name → labels' values, joined → value."""
    with urllib.request.urlopen(address + "/metrics", timeout=60) as response:
        families = text_string_to_metric_families(response.read().decode())
        values: dict[str, dict[str, float]] = {}
        for family in families:
            for sample in family.samples:
                labels = ",".join(sample.labels.values())
                values.setdefault(sample.name, {})[labels] = sample.value
        return values


def num_series(address: str) -> int:
    """Return the number of time series that a service exports: it must not grow without limit."""
    return sum(len(by_labels) for by_labels in read_metrics(address).values())


@dataclass(frozen=True)
class Growth:
    """How much a process has grown since the warm-up, and how much of it its caches explain."""

    name: str
    start_mb: float
    end_mb: float
    per_hour_mb: float
    """The slope of a line through all readings since the warm-up."""
    caches_mb: float
    """Growth of the named caches, which is part of it."""
    descriptors: int
    threads: int
    temporary_files: int

    @property
    def unexplained_mb(self) -> float:
        """Growth that no named cache explains."""
        return self.end_mb - self.start_mb - self.caches_mb

    @property
    def is_bounded(self) -> bool:
        """Whether nothing grew that should not."""
        counts = (self.descriptors, self.threads, self.temporary_files)
        return self.unexplained_mb <= MAX_GROWTH_MB and max(counts) <= 0


def growth(name: str, readings: Sequence[Reading]) -> Growth:
    """Compare the readings just after the warm-up with the last ones.

    Descriptors, threads and files are compared by their least number in either part: requests
    in flight have some of their own.
    """
    kept = readings[int(len(readings) * WARM_UP) :]
    num = max(1, int(len(readings) * END))
    first, last = kept[:num], kept[-num:]

    def rise(of, middle):
        return middle([of(reading) for reading in last]) - middle([of(each) for each in first])

    return Growth(
        name=name,
        start_mb=statistics.median(_own_mb(reading) for reading in first),
        end_mb=statistics.median(_own_mb(reading) for reading in last),
        per_hour_mb=_slope_per_hour(kept),
        caches_mb=rise(lambda reading: sum(reading.caches_mb.values()), statistics.median),
        descriptors=rise(lambda reading: reading.num_descriptors, min),
        threads=rise(lambda reading: reading.num_threads, min),
        temporary_files=rise(lambda reading: reading.num_temporary_files, min),
    )


def _own_mb(reading: Reading) -> float:
    return reading.anonymous_mb + reading.shared_mb - reading.reserved_mb


def _slope_per_hour(readings: Sequence[Reading]) -> float:
    times = [reading.at_s / 3600 for reading in readings]
    if len(times) < 2 or times[0] == times[-1]:
        return 0.0
    return statistics.linear_regression(times, [_own_mb(each) for each in readings]).slope
