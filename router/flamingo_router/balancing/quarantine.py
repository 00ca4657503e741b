"""Blocks clips that crashed two pods, so that they do not crash a third.

A client that gets a 502 sends the same clip again. Without a quarantine, a clip that
crashes its decoder would take down the whole fleet, one pod after the other.

Pure.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

NUM_PODS_TO_BLOCK = 2
"""Different processes: a single one can have crashed for another reason."""
BLOCK_S = 600.0
MAX_CLIPS = 1024
"""Clips remembered; the oldest is forgotten first."""


@dataclass(slots=True)
class _CrashRecord:
    pods: set[str] = field(default_factory=set)
    until_s: float = 0.0


class Quarantine:
    """The clips that were being processed when a pod broke the connection."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _CrashRecord] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def record_crash(self, clip: str, pod: str, *, now_s: float) -> None:
        """Record that the process `pod` broke the connection while it had the clip."""
        record = self._records.get(clip)
        if record is None or record.until_s <= now_s:
            record = self._records[clip] = _CrashRecord()
        self._records.move_to_end(clip)
        record.pods.add(pod)
        record.until_s = now_s + BLOCK_S
        if len(self._records) > MAX_CLIPS:
            self._records.popitem(last=False)

    def clear(self, clip: str) -> None:
        """Forget the crashes of a clip to which a pod has responded."""
        self._records.pop(clip, None)

    def blocked_for_s(self, clip: str, *, now_s: float) -> float:
        """Return for how much longer the clip is blocked; 0 when it is not."""
        record = self._records.get(clip)
        if record is None or len(record.pods) < NUM_PODS_TO_BLOCK:
            return 0.0
        return max(record.until_s - now_s, 0.0)
