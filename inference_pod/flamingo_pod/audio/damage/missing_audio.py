"""How much of a clip is missing, and whether it is processed nevertheless.

Audio that is missing inside a clip was replaced by silence. Audio that is missing at its end is
what its header states and its file does not hold.

Pure.
"""

from dataclasses import dataclass
from typing import NamedTuple

MAX_SHARE = 0.05
"""How much may be missing inside a clip unless the request allows more; a clip under 20 s thus has
no gap over a second."""
MIN_MISSING_S = 0.0005
"""Less is rounding, and would be reported as 0.000."""


class Rest(NamedTuple):
    """Seconds that are stated after the last sample."""

    at_end_s: float = 0.0
    """Those of a file that ends too early."""
    unread_s: float = 0.0
    """Those of a file that goes on, but cannot be read."""


NO_REST = Rest()


@dataclass(slots=True)
class MissingAudio:
    """What is missing of the processed part of a clip."""

    end_s: float
    """The end of what is processed."""
    start_s: float = 0.0
    """Its beginning."""
    inside_s: float = 0.0
    """Seconds that were replaced by silence."""
    first_at_s: float = 0.0
    """Where the first gap is."""
    at_end_s: float = 0.0
    """Seconds that the header states after the last sample."""
    unread_s: float = 0.0
    """Seconds after the last sample although the file goes on; they count as those inside."""

    @property
    def total_s(self) -> float:
        """Seconds that are missing in all."""
        total_s = self.inside_s + self.at_end_s + self.unread_s
        return total_s if total_s >= MIN_MISSING_S else 0.0

    def add_gap(self, at_s: float, seconds: float) -> None:
        """Add a gap, as far as it is in the part that is processed."""
        begin_s = max(at_s, self.start_s)
        seconds, at_s = min(at_s + seconds, self.end_s) - begin_s, begin_s
        if seconds <= 0:
            return
        if not self.inside_s:
            self.first_at_s = at_s
        self.inside_s += seconds

    def add_rest(self, rest: Rest, at_s: float, *, end_s: float | None) -> None:
        """Set what is stated after the last sample, which is at `at_s`.

        Of a part that was requested up to `end_s` as much as that has of it; None: all of it.
        """
        self.at_end_s, self.unread_s = rest
        if end_s is not None:
            begin_s = max(at_s, self.start_s)
            self.at_end_s, self.unread_s = (
                max(min(at_s + seconds, end_s) - begin_s, 0.0) for seconds in rest
            )

    def refusal(self, clip_s: float, *, allow_damaged: bool | None) -> str | None:
        """Return why the clip is refused, by the request's `allow_damaged`; None if it is not."""
        if allow_damaged or not self.total_s:
            return None
        if allow_damaged is False:
            return f"{self._describe(clip_s)}, and allow_damaged is false"
        if self.inside_s + self.unread_s <= MAX_SHARE * (clip_s + self.unread_s):
            return None
        return (
            f"{self._describe(clip_s)}; at most {MAX_SHARE:.0%} may be missing inside a clip;"
            " set allow_damaged to true to process it anyway"
        )

    def _describe(self, clip_s: float) -> str:
        whole_s = clip_s + self.at_end_s + self.unread_s
        places = []
        if self.inside_s:
            places.append(f"the first gap is at {self.first_at_s:.1f} s")
        if self.at_end_s >= MIN_MISSING_S:
            places.append(f"{self.at_end_s:.2f} s at the end")
        if self.unread_s >= MIN_MISSING_S:
            places.append(f"{self.unread_s:.2f} s after the last frame that could be read")
        return (
            f"the audio is damaged: {self.total_s:.2f} s of {whole_s:.2f} s are missing"
            f" ({', '.join(places)})"
        )
