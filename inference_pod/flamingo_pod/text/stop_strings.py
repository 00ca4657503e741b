"""Find the first stop string in a text that arrives in pieces.

How it works: for each stop string the matcher knows how many of its characters the text ends with,
and what to fall back to when the next one differs (Knuth, Morris & Pratt, 1977), so each character
of the text is read once, however long the stop strings are and however often they almost match.

Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class _StopString:
    """One stop string, and how much of it the text ends with."""

    text: str
    num_matched: int = 0
    _fallbacks: list[int] = field(default_factory=lambda: [0])
    """By length of a beginning: its longest own beginning that it also ends with.

    Computed as far as the text has matched.
    """

    def end_in(self, piece: str) -> int | None:
        """Return how many characters of the next piece it takes to complete the stop string."""
        if not self.num_matched and self.text[0] not in piece:
            return None
        for at, character in enumerate(piece, start=1):
            self.num_matched = self._next(self.num_matched, character)
            if self.num_matched == len(self.text):
                return at
            if self.num_matched > len(self._fallbacks):
                self._extend()
        return None

    def _next(self, num_matched: int, character: str) -> int:
        while num_matched and self.text[num_matched] != character:
            num_matched = self._fallbacks[num_matched - 1]
        return num_matched + (self.text[num_matched] == character)

    def _extend(self) -> None:
        known = len(self._fallbacks)
        self._fallbacks.append(self._next(self._fallbacks[-1], self.text[known]))


class StopStrings:
    """The stop strings of one choice."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._stops = [_StopString(text) for text in texts]
        self._pending = ""
        """The longest end of the text that may begin a stop string."""
        self.found: str | None = None
        """The stop string that ended the text; of several in one piece, the first to begin."""

    def push(self, piece: str, *, is_kept: bool) -> str:
        """Return the text that can no longer be part of a stop string, up to the first one.

        `is_kept`: with the stop string, if one is found.
        """
        if self.found is not None:
            return ""
        if not self._stops:
            return piece
        text = self._pending + piece
        ends = [(stop.text, end) for stop in self._stops if (end := stop.end_in(piece)) is not None]
        if ends:
            starts = [(len(self._pending) + end - len(found), found) for found, end in ends]
            at, self.found = min(starts, key=lambda start: start[0])
            self._pending = ""
            return text[: at + len(self.found)] if is_kept else text[:at]
        num_pending = max(stop.num_matched for stop in self._stops)
        self._pending = text[len(text) - num_pending :]
        return text[: len(text) - num_pending]

    def finish(self) -> str:
        """Return the text that was held back."""
        held, self._pending = self._pending, ""
        return held
