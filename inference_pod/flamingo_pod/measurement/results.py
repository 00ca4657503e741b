"""What is measured of a clip, and why something could not be measured.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flamingo_common.measured.keys import MusicKey

TEMPO, KEY, LOUDNESS = "tempo_bpm", "key", "loudness_lufs"
RANGE, PEAK = "loudness_range_lu", "true_peak_dbtp"


@dataclass(frozen=True, slots=True)
class Beats:
    """A steady beat."""

    tempo_bpm: float
    times_s: tuple[float, ...]
    """Of each beat, from the beginning of the samples."""
    strength: float
    """How much the music repeats from beat to beat, 0 to 1."""


@dataclass(frozen=True, slots=True)
class KeyEstimate:
    """The key that a clip's notes fit best."""

    key: MusicKey
    correlation: float
    """Of the clip's notes with those of the key, 0 to 1."""
    runner_up: MusicKey
    runner_up_correlation: float


@dataclass(frozen=True, slots=True)
class Loudness:
    """The loudness by EBU R 128; what cannot be measured is None."""

    integrated_lufs: float | None = None
    range_lu: float | None = None
    true_peak_dbtp: float | None = None


@dataclass(frozen=True, slots=True)
class ClipMeasurements:
    """All that is measured of a clip, or of a part of one."""

    beats: Beats | None = None
    key: KeyEstimate | None = None
    loudness: Loudness = field(default_factory=Loudness)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why a field of the response is null, by its name."""


def nothing(reason: str) -> ClipMeasurements:
    """Return measurements of which there is none, for one reason."""
    return ClipMeasurements(reasons=dict.fromkeys((TEMPO, KEY, LOUDNESS, RANGE, PEAK), reason))
