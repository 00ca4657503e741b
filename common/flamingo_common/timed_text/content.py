"""Sections and lines of a song, with the times that an answer states.

Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; a time that the answer does not state is None."""

    text: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One section of a song, such as `Verse 1`; a time that the answer does not state is None."""

    name: str | None
    """None: lines without a heading."""
    start_s: float | None = None
    end_s: float | None = None
    lines: tuple[Line, ...] = ()
    description: str | None = None
    """What the answer says about the section, beside its name."""


@dataclass(frozen=True, slots=True)
class TimedText:
    """What was read from an answer: exactly what it states, and what is wrong with it."""

    sections: tuple[Section, ...] = ()
    faults: tuple[str, ...] = ()
    """Each with its place; times that are wrong stay as the answer states them."""

    @property
    def lines(self) -> list[Line]:
        """The lines of all sections."""
        return [line for section in self.sections for line in section.lines]
