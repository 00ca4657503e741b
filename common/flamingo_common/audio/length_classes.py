"""Classes of clip lengths: the values of the label `clip_length` of metrics.

Latencies are only comparable between clips of about the same length, and a label may have few
values.

Pure.
"""

from typing import Final

NO_CLIP: Final = "none"
CLASSES: Final = {"0-30s": 30.0, "30s-2m": 120.0, "2m-5m": 300.0, "5m-20m": 1200.0}
"""The upper bound of each class in seconds: one window, an excerpt, a song, what models accept."""
LONGER: Final = "20m+"
CLIP_LENGTHS: Final = (NO_CLIP, *CLASSES, LONGER)
"""All values of the label, shortest first."""


def clip_length(seconds: float) -> str:
    """Return the class of a clip of this length; of a request without audio, it is `none`."""
    if seconds <= 0:
        return NO_CLIP
    return next((name for name, bound_s in CLASSES.items() if seconds <= bound_s), LONGER)
