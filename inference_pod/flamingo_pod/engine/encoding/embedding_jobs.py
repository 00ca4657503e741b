"""The clips that are encoded for embedding requests, and whose turn it is.

Live requests take turns, and so do those of low priority while no live request has work. Beside
live work they have a part in the share of low priority (`low_share.py`).
"""

from collections import abc, deque
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch

from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.audio import AudioWindow


@dataclass(slots=True)
class EmbeddingJob:
    """A clip being encoded for its embedding."""

    windows: deque[AudioWindow]
    """Those left."""
    is_projected: bool
    stats: RequestStats
    done: "Future[abc.Callable[[], None]]" = field(default_factory=Future)
    """Its result waits until the rows are complete."""
    rows: list[torch.Tensor] = field(default_factory=list)
    """On the host."""

    @property
    def is_low(self) -> bool:
        """Whether its request has low priority."""
        return self.stats.priority.is_low


@dataclass(slots=True)
class EmbeddingJobs:
    """The jobs that are not finished; falsy when there are none."""

    _live: deque[EmbeddingJob] = field(default_factory=deque)
    _low: deque[EmbeddingJob] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._live) + len(self._low)

    def __iter__(self) -> abc.Iterator[EmbeddingJob]:
        yield from (*self._live, *self._low)

    @property
    def has_live(self) -> bool:
        """Whether any is not of low priority."""
        return bool(self._live)

    def add(self, job: EmbeddingJob) -> None:
        """Add a job, behind those of its kind."""
        (self._low if job.is_low else self._live).append(job)

    def take(self, *, may_be_low: bool) -> EmbeddingJob | None:
        """Remove and return the next job; of low priority only if it `may_be_low`."""
        if self._low and may_be_low:
            return self._low.popleft()
        return self._live.popleft() if self._live else None

    def take_all(self) -> list[EmbeddingJob]:
        """Remove and return all jobs."""
        jobs = list(self)
        self._live.clear()
        self._low.clear()
        return jobs
