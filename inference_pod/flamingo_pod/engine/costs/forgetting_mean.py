"""An average of recent measurements: before each, what was measured until then counts for less.

Pure.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class ForgettingMean:
    """Seconds of one unit."""

    seconds: float = 0.0
    num_units: float = 0.0

    def add(self, seconds: float, num_units: int, *, kept: float) -> None:
        """Add units that took `seconds`; the part `kept` (0 to 1) remains of those before."""
        self.seconds = kept * self.seconds + seconds
        self.num_units = kept * self.num_units + num_units

    @property
    def unit_s(self) -> float | None:
        """Seconds of a unit; None before the first."""
        return self.seconds / self.num_units if self.num_units else None
