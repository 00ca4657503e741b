"""Blocks clips that crashed two pods, so that they do not crash a third.

A client that gets a 502 sends the same clip again. Without a quarantine, a clip that
crashes its decoder would take down the whole fleet, one pod after the other.

Pure.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

NUM_PODS_TO_BLOCK = 2
"""Different processes: one alone may have crashed for another reason."""
BLOCK_S = 600.0
MAX_CLIPS = 1024
"""Suspects remembered; the oldest is forgotten first."""


@dataclass(slots=True)
class _Suspect:
    pods: set[str] = field(default_factory=set)
    until_s: float = 0.0


class Quarantine:
    """The clips that were being processed when a pod broke the connection."""

    def __init__(self) -> None:
        self._suspects: OrderedDict[str, _Suspect] = OrderedDict()

    def __len__(self) -> int:
        return len(self._suspects)

    def record_crash(self, clip: str, pod: str, *, now_s: float) -> None:
        """Record that the process `pod` broke the connection while it had the clip."""
        suspect = self._suspects.get(clip)
        if suspect is None or suspect.until_s <= now_s:
            suspect = self._suspects[clip] = _Suspect()
        self._suspects.move_to_end(clip)
        suspect.pods.add(pod)
        suspect.until_s = now_s + BLOCK_S
        if len(self._suspects) > MAX_CLIPS:
            self._suspects.popitem(last=False)

    def clear(self, clip: str) -> None:
        """Clear a clip of suspicion: a pod responded to it and lived."""
        self._suspects.pop(clip, None)

    def blocked_for_s(self, clip: str, *, now_s: float) -> float:
        """Return for how much longer the clip is blocked; 0 when it is not."""
        suspect = self._suspects.get(clip)
        if suspect is None or len(suspect.pods) < NUM_PODS_TO_BLOCK:
            return 0.0
        return max(suspect.until_s - now_s, 0.0)
