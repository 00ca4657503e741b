"""What a container's header says of a clip: how long it is, and how sure that is.

Pure: bytes and integers in, values out.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

LengthSource = Literal["exact", "estimate", "bytes"]
MAX_S = 7200.0
"""No clip counts as longer: a header may claim centuries."""
MIN_BYTES_PER_S = 250
"""Nothing that sounds is smaller: speech in Opus at its lowest, 6 kbit/s, is three times this."""


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """One clip, undecoded."""

    seconds: float
    source: LengthSource
    """`exact`: the header says so. `estimate`: its bit rate and the size say so.
    `bytes`: the size and what such files usually hold say so."""
    container: str


def clamp_to_plausible(clip: ClipInfo, total_bytes: int | None) -> ClipInfo | None:
    """Return `clip`, no longer than its bytes could be; None when its length is no length.

    A header that claims more than its bytes can hold is believed no more: the
    clip comes back shortened, as an estimate.
    """
    if not math.isfinite(clip.seconds) or clip.seconds <= 0:
        return None
    limit_s = MAX_S if total_bytes is None else min(MAX_S, total_bytes / MIN_BYTES_PER_S)
    if clip.seconds <= limit_s:
        return clip
    source: LengthSource = "bytes" if clip.source == "bytes" else "estimate"
    return replace(clip, seconds=limit_s, source=source) if limit_s > 0 else None
