"""The limits above which requests wait in the router, or are rejected.

Pure.
"""

from dataclasses import dataclass

MIN_WAIT_S = 5.0
"""A request that takes as long as the assumed deadline may still wait for this long."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The limits of one router, from the settings of the same names."""

    max_backlog_s: float
    """Predicted seconds of work at a pod above which it gets no more requests."""
    queue_threshold_s: float
    """Seconds of prefill at every pod above which requests wait in the router; infinite: never."""
    max_queued: int
    max_queued_audio_s: float
    max_wait_s: float
    """Predicted wait above which a request is rejected."""
    assumed_deadline_s: float
    """When a client that names no deadline is assumed to have given up."""
    cold_start_hold_s: float
    """How long requests are held while no pod is ready; 0: they are rejected immediately."""

    def max_wait_for_s(self, cost_s: float) -> float:
        """Return how long a request of `cost_s` may wait, so that its response is in time."""
        return min(self.max_wait_s, max(self.assumed_deadline_s - cost_s, MIN_WAIT_S))

    def queue_violation(self, num_queued: int, queued_audio_s: float) -> str:
        """Return how full the queue is, with the limit that is reached; empty if none is."""
        if num_queued >= self.max_queued:
            return f"{num_queued} requests are waiting (limit: {self.max_queued})"
        if queued_audio_s > self.max_queued_audio_s:
            limit_s = self.max_queued_audio_s
            return f"{queued_audio_s:.0f} s of audio are waiting (limit: {limit_s:.0f} s)"
        return ""
