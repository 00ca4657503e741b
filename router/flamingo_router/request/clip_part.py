"""The part of a clip that a request is about: how long it is, and its name.

Pure.
"""

import math
from dataclasses import dataclass

MAX_PART_S = 1200.0
"""The longest part that a model takes; one that ends later reaches to the end of its clip."""


@dataclass(frozen=True, slots=True)
class ClipPart:
    """A part of a clip, in seconds of it."""

    start_s: float
    end_s: float | None
    """None: the end of the clip."""

    def seconds_of(self, clip_s: float, *, is_assumed: bool) -> float:
        """Return the length of the part of a clip of `clip_s`, which can be an assumption.

        Then an end is believed, if it is near enough to be that of the part and not of any clip.
        """
        part_s = (math.inf if self.end_s is None else self.end_s) - self.start_s
        if is_assumed:
            return clip_s if part_s > MAX_PART_S else max(part_s, 0.0)
        return max(min(part_s, clip_s - self.start_s), 0.0)

    def name_in(self, clip: str) -> str:
        """Return the name of the part of a clip: what is cached for it is another's."""
        return f"{clip}-{self.start_s:g}-{self.end_s or 0:g}"
