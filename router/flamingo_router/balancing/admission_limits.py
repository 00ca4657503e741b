"""The limits above which requests wait in the router, or are refused.

Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """The limits of one router, from the settings of the same names."""

    max_backlog_s: float
    """Predicted work at a pod above which it gets no more."""
    queue_threshold_s: float
    """Prefill at every pod above which requests wait in the router; infinite: they never do."""
    max_queued: int
    max_queued_audio_s: float
    max_wait_s: float
    """Predicted wait above which a request is refused."""
    cold_start_hold_s: float
    """How long requests are held while no pod is ready; 0: they are refused at once."""

    def queue_fault(self, num_queued: int, queued_audio_s: float) -> str:
        """Return which limit of the queue is reached, and how full it is; empty for neither."""
        if num_queued >= self.max_queued:
            return f"{num_queued} requests are waiting, the limit is {self.max_queued}"
        if queued_audio_s > self.max_queued_audio_s:
            limit_s = self.max_queued_audio_s
            return f"{queued_audio_s:.0f} s of audio are waiting, the limit is {limit_s:.0f} s"
        return ""
