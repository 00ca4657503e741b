"""Clips that broke two pods are not sent to a third for a while.

A client that is told 502 sends the same clip again; without this a clip that kills
its decoder would take the fleet down one pod after the other.

Pure.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

NUM_TO_HOLD = 2
"""Different processes: one alone may have died of something else."""
HOLD_S = 600.0
MAX_CLIPS = 1024
"""Suspects remembered; the oldest is forgotten first."""


@dataclass(slots=True)
class _Suspect:
    pods: set[str] = field(default_factory=set)
    until_s: float = 0.0


class Quarantine:
    """See the module."""

    def __init__(self) -> None:
        self._suspects: OrderedDict[str, _Suspect] = OrderedDict()

    def __len__(self) -> int:
        return len(self._suspects)

    def blame(self, clip: str, pod: str, *, now_s: float) -> None:
        """Note that the process `pod` broke while it had the clip."""
        suspect = self._suspects.get(clip)
        if suspect is None or suspect.until_s <= now_s:
            suspect = self._suspects[clip] = _Suspect()
        self._suspects.move_to_end(clip)
        suspect.pods.add(pod)
        suspect.until_s = now_s + HOLD_S
        if len(self._suspects) > MAX_CLIPS:
            self._suspects.popitem(last=False)

    def acquit(self, clip: str) -> None:
        """Note that a pod answered and lived."""
        self._suspects.pop(clip, None)

    def left_s(self, clip: str, *, now_s: float) -> float:
        """Return how long the clip is held back yet; 0 when it is not."""
        suspect = self._suspects.get(clip)
        if suspect is None or len(suspect.pods) < NUM_TO_HOLD:
            return 0.0
        return max(suspect.until_s - now_s, 0.0)
