"""The limits above which requests wait in the router, or are rejected.

Pure.
"""

from dataclasses import dataclass


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
    cold_start_hold_s: float
    """How long requests are held while no pod is ready; 0: they are rejected immediately."""

    def queue_violation(self, num_queued: int, queued_audio_s: float) -> str:
        """Return how full the queue is, with the limit that is reached; empty if none is."""
        if num_queued >= self.max_queued:
            return f"{num_queued} requests are waiting (limit: {self.max_queued})"
        if queued_audio_s > self.max_queued_audio_s:
            limit_s = self.max_queued_audio_s
            return f"{queued_audio_s:.0f} s of audio are waiting (limit: {limit_s:.0f} s)"
        return ""
