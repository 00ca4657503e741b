"""The sequences of low priority that are not finished, and which of them is promoted.

Pure.
"""

from dataclasses import dataclass, field

from flamingo_pod.engine.scheduling.sequence import Sequence, SequenceState

PROMOTE_AFTER_S = 30.0
"""After waiting this long at a stretch, the oldest sequence of low priority is promoted."""
PROMOTE_AFTER_PREEMPTIONS = 3
"""So it is after so many preemptions: it would never end under steady live load."""


@dataclass(slots=True)
class LowSequences:
    """Counts them; falsy when there are none."""

    num_waiting: int = 0
    _all: dict[Sequence, None] = field(default_factory=dict)
    """The oldest first."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def num_running(self) -> int:
        """Those with memory."""
        return len(self._all) - self.num_waiting

    def add(self, sequence: Sequence) -> None:
        """Add a sequence if it has low priority."""
        if sequence.is_low:
            self._all[sequence] = None

    def remove(self, sequence: Sequence) -> None:
        """Remove a sequence that is finished, whatever its priority."""
        self._all.pop(sequence, None)

    def promote_starved(self, now_s: float) -> None:
        """Promote the oldest one if it waits, and has done so for too long or too often."""
        oldest = next(iter(self._all), None)
        if oldest is None or oldest.state is not SequenceState.WAITING:
            return
        is_due = now_s - oldest.waiting_since_s >= PROMOTE_AFTER_S
        if is_due or oldest.num_preemptions >= PROMOTE_AFTER_PREEMPTIONS:
            oldest.is_promoted = True
