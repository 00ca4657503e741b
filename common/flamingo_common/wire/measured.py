"""What is measured of a clip, in responses, and compared with what the model says.

Pure.
"""

from typing import Any, Literal

from pydantic import Field

from flamingo_common.measured.comparisons import Compared, Relation
from flamingo_common.wire.responses import ResponseBody, is_none


class MeasuredKey(ResponseBody):
    """The key whose notes a clip has."""

    tonic: str
    """`C`, `C#`, `Db` and so on."""
    mode: Literal["major", "minor"]
    name: str
    """Both, such as `F# minor`."""
    correlation: float
    """Of the clip's notes with those of the key, 0 to 1."""
    runner_up: str
    """The key that fits second best."""
    runner_up_correlation: float


class Measured(ResponseBody):
    """What was measured of the clip, or of its part; null where that is not possible."""

    tempo_bpm: float | None = None
    """Beats per minute."""
    beats_s: list[float] | None = None
    """When each beat is, in seconds of the clip."""
    beat_strength: float | None = None
    """How much the music repeats from beat to beat, 0 to 1; below 0.2 it has no steady beat."""
    key: MeasuredKey | None = None
    loudness_lufs: float | None = None
    """Integrated loudness by EBU R 128, of the file's own channels and sample rate."""
    loudness_range_lu: float | None = None
    """Loudness range by EBU Tech 3342."""
    true_peak_dbtp: float | None = None
    """True peak by ITU-R BS.1770."""
    reasons: dict[str, str] | None = Field(default=None, exclude_if=is_none)
    """Why a field is null, by its name."""


class Comparison(ResponseBody):
    """A field of an answer beside what was measured."""

    field: str
    answer: Any
    """What the model says."""
    measured: float | str | None
    agrees: bool | None
    """Null if one of both is missing or cannot be read."""
    relation: Relation | None
    """What the answer is to the measured value: `same`; of tempos `double`, `half`, `triple`,
    `third`; of keys `relative`, `parallel`, `fifth`; else `other`."""


def to_comparison(found: Compared) -> Comparison:
    """Return a comparison as it is in the response."""
    return Comparison(
        field=found.field,
        answer=found.answer,
        measured=found.measured,
        agrees=found.agrees,
        relation=found.relation,
    )
