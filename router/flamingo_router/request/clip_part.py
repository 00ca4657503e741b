"""The part of a clip that a request is about: how long it is, and its name.

Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClipPart:
    """A part of a clip, in seconds of it."""

    start_s: float
    end_s: float | None
    """None: the end of the clip."""

    def seconds_of(self, clip_s: float, *, is_assumed: bool) -> float:
        """Return the length of the part of a clip of `clip_s`, which can be an assumption."""
        end_s = clip_s if self.end_s is None else self.end_s
        if not is_assumed:
            end_s = min(end_s, clip_s)
        return max(end_s - self.start_s, 0.0)

    def name_in(self, clip: str) -> str:
        """Return the name of the part of a clip: what is cached for it is another's."""
        return f"{clip}-{self.start_s:g}-{self.end_s or 0:g}"
