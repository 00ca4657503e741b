"""Musical keys: how they are spelled, and how two of them relate.

The relations are those of MIREX's audio key detection, which counts them as partly right: keys that
share their notes (relative), their tonic (parallel), or all notes but one (a fifth apart).

Pure.
"""

import re
from dataclasses import dataclass
from typing import Literal

Mode = Literal["major", "minor"]
KeyRelation = Literal["same", "relative", "parallel", "fifth", "other"]
NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
MODES: dict[str, Mode] = {
    "": "major", "M": "major", "maj": "major", "major": "major", "dur": "major",
    "m": "minor", "min": "minor", "minor": "minor", "moll": "minor",
}  # fmt: skip
NAMES: dict[Mode, tuple[str, ...]] = {
    "major": ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"),
    "minor": ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"),
}
"""The spelling with the fewest accidentals in the key's signature; F# major and Eb minor have six
of either kind."""
MAX_KEY_CHARS = 64
_KEY = re.compile(
    r"(?P<tonic>[A-Ga-g])(?:[ -]?(?P<accidental>#|♯|b|♭|sharp|flat)(?![a-z]))?"
    r"[ :.-]*(?P<mode>[A-Za-z]*)\.?(?: scale| key)?",
)
_SHORT_MODE = re.compile(r"(?P<tonic>[A-Ga-g])(?P<accidental>[#♯b♭]?)(?P<mode>maj|min|m|M)\.?")
FIFTHS = (5, 7)
RELATIVE_MINOR = 9
"""Semitones from a major tonic to that of its relative minor."""


@dataclass(frozen=True, slots=True)
class MusicKey:
    """A major or minor key. Keys that sound the same are equal, however they are spelled."""

    tonic: int
    """Semitones above C, 0 to 11."""
    mode: Mode

    @property
    def tonic_name(self) -> str:
        """The tonic, such as `F#`."""
        return NAMES[self.mode][self.tonic]

    @property
    def name(self) -> str:
        """The key, such as `F# minor`."""
        return f"{self.tonic_name} {self.mode}"


def parse_key(text: str) -> MusicKey | None:
    """Return the key that a text names, such as `F# minor`, `Gb min`, `F♯m`; None if it is none.

    A note alone is a major key, as in chord symbols.
    """
    if len(text) > MAX_KEY_CHARS:
        return None
    spelled = " ".join(text.split()).removeprefix("Key of ").removeprefix("key of ")
    found = _SHORT_MODE.fullmatch(spelled) or _KEY.fullmatch(spelled)
    if found is None:
        return None
    name = found["mode"]
    mode = MODES.get(name) or MODES.get(name.lower())
    if mode is None:
        return None
    tonic = NATURAL[found["tonic"].upper()] + ACCIDENTALS[found["accidental"] or ""]
    return MusicKey(tonic % 12, mode)


def key_relation(one: MusicKey, other: MusicKey) -> KeyRelation:
    """Return how two keys relate; the order does not matter."""
    distance = (one.tonic - other.tonic) % 12
    if one.mode == other.mode:
        if distance == 0:
            return "same"
        return "fifth" if distance in FIFTHS else "other"
    if distance == 0:
        return "parallel"
    major, minor = (one, other) if one.mode == "major" else (other, one)
    return "relative" if (minor.tonic - major.tonic) % 12 == RELATIVE_MINOR else "other"
