"""Where on a clip's timeline the next samples belong, by the timestamps of its packets.

A timestamp that is later than the samples so far reach is a gap only if the file has lost something
there: packets that could not be decoded, bytes that were skipped, or frames whose numbers are
missing, of roughly that duration. All other jumps are taken for what they are in files that are not
damaged: rounding to milliseconds, jitter of a recorder's clock, a clock that was set, one stream
after another, a live stream that was joined late. They move the origin of the timestamps, and no
sample.

Pure.
"""

from dataclasses import dataclass

TOLERANCE_S = 0.005
"""A smaller difference is rounding. The smallest packets that get lost have 20 ms."""
MAX_OVERESTIMATE = 4.0
"""How many times as long as estimated from the lost bytes a gap can be; bit rates vary."""
MAX_GAP_S = 1800.0
"""A longer gap is a wrong timestamp, whatever was lost."""
MAX_OVERLAP_S = 0.25
"""Damaged packets decode to more samples than they had, by some packets' durations."""
MAX_SECONDS_OVER_STATED = 1.0
"""How much later than the stated end of the clip a gap can end."""


@dataclass(slots=True)
class Timeline:
    """The position that the samples so far reach, and the timestamp that belongs to it."""

    stated_s: float | None = None
    """The clip's duration according to its header."""
    is_numbered: bool = False
    """Whether each frame has its position in its header, as in a FLAC."""
    tolerance_s: float = TOLERANCE_S
    position_s: float = 0.0
    """Duration of the samples and gaps so far."""
    next_s: float | None = None
    """Timestamp that the next frame should have; None before the first."""
    _is_damaged: bool = False
    """Whether anything was lost so far."""

    def start(self, start_s: float) -> None:
        """Set the timestamp at which the clip starts; otherwise its first frame does."""
        if self.next_s is None:
            self.next_s = start_s

    def advance(self, seconds: float) -> None:
        """Go past samples or a gap."""
        self.position_s += seconds
        if self.next_s is not None:
            self.next_s += seconds

    def jump_s(self, start_s: float | None) -> float:
        """Return how much later than expected a frame starts; 0 for rounding, or if unknown."""
        if start_s is None or self.next_s is None:
            return 0.0
        jump_s = start_s - self.next_s
        return jump_s if abs(jump_s) > self.tolerance_s else 0.0

    def gap_s(self, jump_s: float, lost_s: float) -> float:
        """Return the duration of silence that belongs before a frame that starts `jump_s` late.

        `lost_s` estimates how much audio the file has lost there. The result is negative for
        samples that a damaged packet decoded to although the next one holds them. It is 0 for a
        jump without a loss; the timestamps then count from a new origin.
        """
        self._is_damaged |= lost_s > 0
        if jump_s < 0 and self._is_damaged and -jump_s <= MAX_OVERLAP_S:
            return jump_s
        if 0 < jump_s <= MAX_GAP_S and self._is_credible(jump_s, lost_s):
            self._is_damaged = True
            return jump_s
        if self.next_s is not None:
            self.next_s += jump_s
        return 0.0

    def _is_credible(self, jump_s: float, lost_s: float) -> bool:
        """Return whether so much was lost, and the gap ends before the clip does."""
        stated_s = self.stated_s
        if stated_s is None or self.position_s > stated_s:  # it is not known, or wrong
            return jump_s <= MAX_OVERESTIMATE * lost_s
        if self.position_s + jump_s > stated_s + MAX_SECONDS_OVER_STATED:
            return False
        return self.is_numbered or jump_s <= MAX_OVERESTIMATE * lost_s
