"""What the parts of a step cost, learned from the steps: decoding rows, prompt tokens, windows.

How it works: the time of a step that only decodes is a straight line over its rows. On a GPU it is
nearly flat, since reading the weights takes most of it; on a CPU each row costs. The line is fitted
to the recent steps by least squares. While these all had as many rows, nothing tells the slope, and
each row is taken to cost its part of the step.

Pure.
"""

from dataclasses import dataclass, field

from flamingo_pod.engine.costs.forgetting_mean import ForgettingMean

DECAY = 0.99
"""A hundred steps make most of an average."""
MIN_VARIANCE = 0.02
"""Of the rows of recent steps: one step in fifty with one more is enough to tell the slope."""

MIN_STEPS, MAX_EXCESS = 20, 2.0
"""After so many steps, one counts as at most so many times what was expected of it: where other
processes take the cores, single steps last ten times as long, and would hide the slope."""


@dataclass(slots=True)
class LearnedCosts:
    """Costs of the steps on this machine; each is 0 until it was measured."""

    _token: ForgettingMean = field(default_factory=ForgettingMean)
    _window: ForgettingMean = field(default_factory=ForgettingMean)
    _num_steps: float = 0.0
    _rows: float = 0.0
    _seconds: float = 0.0
    _rows_squared: float = 0.0
    _rows_seconds: float = 0.0

    @property
    def token_s(self) -> float:
        """Seconds of one prompt token."""
        return self._token.unit_s or 0.0

    @property
    def window_s(self) -> float:
        """Seconds to encode one window."""
        return self._window.unit_s or 0.0

    @property
    def row_s(self) -> float:
        """Seconds by which one more row makes a step longer that decodes."""
        if not self._rows:
            return 0.0
        per_row_s = self._seconds / self._rows
        variance = self._num_steps * self._rows_squared - self._rows**2
        if variance < MIN_VARIANCE * self._num_steps**2:
            return per_row_s
        slope_s = (self._num_steps * self._rows_seconds - self._rows * self._seconds) / variance
        return min(max(slope_s, 0.0), per_row_s)

    def decode_s(self, num_rows: int) -> float:
        """Return the seconds of a step that decodes `num_rows` sequences."""
        if not self._num_steps:
            return 0.0
        row_s = self.row_s
        return (self._seconds - self._rows * row_s) / self._num_steps + num_rows * row_s

    def observe_windows(self, windows_s: float, num_windows: int) -> None:
        """Learn from windows that took `windows_s`."""
        if num_windows:
            self._window.add(windows_s, num_windows, kept=DECAY)

    def observe_rows(self, rest_s: float, *, num_decoding: int, num_tokens: int) -> None:
        """Learn from a step that took `rest_s` without its windows."""
        if num_tokens:
            decode_s = self.decode_s(num_decoding) if num_decoding else 0.0
            self._token.add(max(rest_s - decode_s, 0.0), num_tokens, kept=DECAY)
        elif num_decoding:
            if self._num_steps >= MIN_STEPS:
                rest_s = min(rest_s, MAX_EXCESS * self.decode_s(num_decoding))
            self._num_steps = DECAY * self._num_steps + 1
            self._rows = DECAY * self._rows + num_decoding
            self._seconds = DECAY * self._seconds + rest_s
            self._rows_squared = DECAY * self._rows_squared + num_decoding**2
            self._rows_seconds = DECAY * self._rows_seconds + num_decoding * rest_s
