"""How late the router itself is, so that no pod is blamed for it.

A router that is short of CPU, or was suspended, notices timeouts that no pod has caused: the
response was there, and the router had no time to read it. A task measures how much later than asked
it is woken; time that was lost this way does not count against pods.

Pure: times are arguments.
"""

from dataclasses import dataclass

INTERVAL_S = 0.05
"""How often the delay is measured."""
TOLERANCE_S = 0.01
"""Delays up to this are usual."""


@dataclass(slots=True)
class LoopLag:
    """The delays of the event loop."""

    lost_s: float = 0.0
    """All time that was lost since the start."""
    last_s: float = 0.0
    """The last delay."""

    def record(self, delay_s: float) -> None:
        """Record that the measuring task was woken `delay_s` late."""
        self.last_s = max(delay_s, 0.0)
        if delay_s > TOLERANCE_S:
            self.lost_s += delay_s
