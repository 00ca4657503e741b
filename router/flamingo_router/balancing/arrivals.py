"""Arrival rates: requests, audio and predicted work per second, over a window of time.

Pure: time is an argument.
"""

from dataclasses import dataclass, field

SLOT_S = 5.0
NUM_SLOTS = 61
"""Five minutes, and the slot that is being filled."""


@dataclass(slots=True)
class _Slot:
    number: int = -1
    num: int = 0
    audio_s: float = 0.0
    work_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ArrivalRate:
    """Requests, seconds of audio and predicted seconds of work that arrived per second."""

    num: float
    audio_s: float
    work_s: float


@dataclass(slots=True)
class Arrivals:
    """Counts arrivals in slots of five seconds."""

    since_s: float
    """When counting began."""
    _slots: list[_Slot] = field(default_factory=lambda: [_Slot() for _ in range(NUM_SLOTS)])

    def record(self, audio_s: float, work_s: float, *, now_s: float) -> None:
        """Count one request."""
        number = int(now_s // SLOT_S)
        slot = self._slots[number % NUM_SLOTS]
        if slot.number != number:
            slot = self._slots[number % NUM_SLOTS] = _Slot(number)
        slot.num += 1
        slot.audio_s += audio_s
        slot.work_s += work_s

    def record_unread(self, work_s: float, *, now_s: float) -> None:
        """Count one request that was rejected before its body was read.

        Its audio and work are those of the average request of late, or `work_s` without one.
        """
        known = self.rate(SLOT_S * (NUM_SLOTS - 1), now_s=now_s)
        if known.num:
            self.record(known.audio_s / known.num, known.work_s / known.num, now_s=now_s)
        else:
            self.record(0.0, work_s, now_s=now_s)

    def covered_s(self, window_s: float, *, now_s: float) -> float:
        """Return how much of the last `window_s` has been counted."""
        return min(max(now_s - self.since_s, 0.0), window_s)

    def rate(self, window_s: float, *, now_s: float) -> ArrivalRate:
        """Return the rate over the last `window_s`, or since the start if that is shorter."""
        first = int((now_s - window_s) // SLOT_S) + 1
        slots = [slot for slot in self._slots if slot.number >= first]
        seconds = max(min(now_s - max(first * SLOT_S, self.since_s), window_s), 1.0)
        return ArrivalRate(
            sum(slot.num for slot in slots) / seconds,
            sum(slot.audio_s for slot in slots) / seconds,
            sum(slot.work_s for slot in slots) / seconds,
        )
