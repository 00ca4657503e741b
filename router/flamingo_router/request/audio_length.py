"""A body's first bytes → how much audio it brings.

Only the first clip of a request is measured: waiting for what may come after it
would hold the choice back, and a factor of two costs little.

Pure.
"""

from dataclasses import dataclass
from typing import Literal

from flamingo_common.audio.probe import probe
from flamingo_router.request.form_scan import FormScan, boundary
from flamingo_router.request.json_scan import JsonScan
from flamingo_router.request.scan import NoScan, Scan

ASSUMED_S = 180.0
"""A song: what a clip counts as that the router cannot see (a URL, a chunked upload)."""
Source = Literal["exact", "estimate", "bytes", "assumed", "none"]


@dataclass(frozen=True, slots=True)
class Heard:
    """How much audio a request brings, and how that is known."""

    seconds: float
    source: Source
    """The first three are of `audio.clip`; `assumed`: nothing says; `none`: no audio."""


SILENCE = Heard(0.0, "none")


def scan_of(content_type: str, total_bytes: int | None) -> Scan:
    """Return the scan that reads a body of this type."""
    if not content_type.lower().startswith("multipart/form-data"):
        return JsonScan(total_bytes)
    separator = boundary(content_type)
    return FormScan(separator, total_bytes) if separator else NoScan()


def heard(scan: Scan, *, unseen_bytes: int | None) -> Heard:
    """Return what `scan` found, where the body goes on for `unseen_bytes` (None: who knows)."""
    if scan.sample is not None:
        clip = probe(scan.sample.head, total_bytes=scan.sample.total_bytes)
        return Heard(clip.seconds, clip.source) if clip else Heard(ASSUMED_S, "assumed")
    if scan.has_url:
        return Heard(ASSUMED_S, "assumed")
    if unseen_bytes == 0:
        return SILENCE
    clip = None if unseen_bytes is None else probe(b"", total_bytes=unseen_bytes * 3 // 4)
    return Heard(clip.seconds, clip.source) if clip else Heard(ASSUMED_S, "assumed")
