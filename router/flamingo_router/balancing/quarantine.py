"""Blocks clips that crashed two pods, so that they do not crash a third.

A client that gets a 502 sends the same clip again. Without a quarantine, a clip that
crashes its decoder would take down the whole fleet, one pod after the other.

A pod that dies has many clips, and most of them are innocent: what two pods had in common when
they died is suspected. A clip that is the only one is blocked. Of several, each is
tried again, but no two at the same time: if one of them crashes a pod, it was that one, and if it
is answered, it is cleared.

Pure.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

NUM_PODS_TO_SUSPECT = 2
"""Different processes: a single one can have crashed for another reason."""
BLOCK_S = 600.0
MAX_CLIPS = 1024
"""Clips remembered; the oldest is forgotten first."""
MAX_PODS = 256
"""Processes whose clips are remembered."""
TRIAL_RETRY_S = 2.0
"""`Retry-After` while another suspected clip is tried."""


@dataclass(slots=True)
class _CrashRecord:
    pods: set[str] = field(default_factory=set)
    until_s: float = 0.0


class Quarantine:
    """The clips that were being processed when a pod broke the connection."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _CrashRecord] = OrderedDict()
        self._clips_of: OrderedDict[str, set[str]] = OrderedDict()
        """What each process had when it died, also what was cleared later."""
        self._on_trial: str | None = None

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
        self._clips_of.setdefault(pod, set()).add(clip)
        if len(self._records) > MAX_CLIPS:
            self._records.popitem(last=False)
        if len(self._clips_of) > MAX_PODS:
            self._clips_of.popitem(last=False)

    def clear(self, clip: str) -> None:
        """Forget the crashes of a clip to which a pod has responded."""
        self._records.pop(clip, None)

    def blocked_for_s(self, clip: str, *, now_s: float) -> float:
        """Return for how much longer the clip is blocked; 0 when it is not."""
        if self._suspects(clip, now_s) != {clip}:
            return 0.0
        return self._records[clip].until_s - now_s

    def begin_trial(self, clip: str, *, now_s: float) -> bool:
        """Return whether a clip may be tried now; one that is suspected needs `end_trial`."""
        if not self._suspects(clip, now_s):
            return True
        if self._on_trial is not None:
            return False
        self._on_trial = clip
        return True

    def end_trial(self, clip: str) -> None:
        """End the trial of a suspected clip; does nothing for one that is not on trial."""
        if self._on_trial == clip:
            self._on_trial = None

    def _suspects(self, clip: str, now_s: float) -> set[str]:
        """Return what the pods that died with this clip had in common; empty for fewer than two."""
        record = self._records.get(clip)
        if record is None or record.until_s <= now_s or len(record.pods) < NUM_PODS_TO_SUSPECT:
            return set()
        return set.intersection(*(self._clips_of.get(pod, {clip}) for pod in record.pods))
