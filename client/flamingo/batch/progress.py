"""How far a batch is: the counts of one run, and the audio that it has processed.

Pure.
"""

from dataclasses import dataclass, replace

from flamingo.batch.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of one run; its outcomes are recorded before they count."""

    num_done: int = 0
    """Items with a result."""
    num_failed: int = 0
    """Items with a final error, among them malformed lines and those with a failed question."""
    num_unfinished: int = 0
    """Items that could not be processed now; the next run tries them again."""
    num_skipped: int = 0
    """Items that an earlier run finished."""
    num_failed_before: int = 0
    """Those of them that have failed."""
    audio_s: float = 0.0
    """Decoded audio of all results."""
    missing_s: float = 0.0
    """Audio that the files have lost."""
    elapsed_s: float = 0.0
    """Since the run began."""

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio that are processed in one second."""
        return self.audio_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def after(self, outcome: Outcome, *, elapsed_s: float) -> "Progress":
        """Return the progress after one more outcome."""
        result, is_final = outcome.result, outcome.is_finished
        has_failed = outcome.error is not None
        return replace(
            self,
            num_done=self.num_done + (not has_failed),
            num_failed=self.num_failed + (has_failed and is_final),
            num_unfinished=self.num_unfinished + (not is_final),
            audio_s=self.audio_s + (result.audio_s if result else 0.0),
            missing_s=self.missing_s + (result.missing_s if result else 0.0),
            elapsed_s=elapsed_s,
        )
