"""A clip's duration as read from its container's header, and how reliable it is.

Pure: computes on values only.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

LengthSource = Literal["exact", "estimate", "bytes"]
MAX_S = 7200.0
"""Upper bound of every duration: a corrupt header can claim centuries."""
MIN_BYTES_PER_S = 250
"""Lowest plausible bit rate: Opus speech at its minimum, 6 kbit/s, is three times this."""


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """Duration and container format of one clip that has not been decoded."""

    seconds: float
    source: LengthSource
    """`exact`: the header states the duration. `estimate`: computed from its bit rate and the
    file size. `bytes`: guessed from the file size and the format's usual bit rate."""
    container: str


def clamp_to_plausible(clip: ClipInfo, total_bytes: int | None) -> ClipInfo | None:
    """Return `clip`, shortened to what `total_bytes` can hold; None for an invalid duration.

    A header that claims more than its bytes can hold is not trusted: the returned
    clip is an estimate.
    """
    if not math.isfinite(clip.seconds) or clip.seconds <= 0:
        return None
    limit_s = MAX_S if total_bytes is None else min(MAX_S, total_bytes / MIN_BYTES_PER_S)
    if clip.seconds <= limit_s:
        return clip
    source: LengthSource = "bytes" if clip.source == "bytes" else "estimate"
    return replace(clip, seconds=limit_s, source=source) if limit_s > 0 else None
