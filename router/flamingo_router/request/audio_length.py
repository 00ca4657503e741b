"""Determines how much audio a request contains, from the first bytes of its body.

Only the first clip of a request is measured: waiting for the rest of the body would delay
the choice of a pod, and a factor of two does little harm.

Pure.
"""

from dataclasses import dataclass
from typing import Literal

from flamingo_common.audio.probe import probe
from flamingo_router.request.form_scan import FormScan, parse_boundary
from flamingo_router.request.json_scan import JsonScan
from flamingo_router.request.scan import NoScan, Scan

ASSUMED_S = 180.0
"""A song: the length of a clip that the router cannot see (a URL, a chunked upload)."""
RESPONSES = "/v1/responses"
"""Whose `input` is text or items; that of `/v1/embeddings` is a URL."""
Source = Literal["exact", "estimate", "bytes", "held", "assumed", "none"]


@dataclass(frozen=True, slots=True)
class AudioLength:
    """How much audio a request contains, and how that was determined."""

    seconds: float
    source: Source
    """The first three are those of `ClipInfo`; `held`: that of a clip that a pod holds; `assumed`:
    unknown; `none`: no audio."""


NO_AUDIO = AudioLength(0.0, "none")
ASSUMED = AudioLength(ASSUMED_S, "assumed")


def scan_for(content_type: str, total_bytes: int | None, *, route: str = "") -> Scan:
    """Return the scan that reads a body of this type."""
    if not content_type.lower().startswith("multipart/form-data"):
        return JsonScan(total_bytes, is_input_text=route == RESPONSES)
    boundary = parse_boundary(content_type)
    return FormScan(boundary, total_bytes) if boundary else NoScan()


def measure(scan: Scan, *, unread_bytes: int | None) -> AudioLength:
    """Return the length of the audio that `scan` has found.

    `unread_bytes` is how much of the body it has not read; None: unknown.
    """
    if scan.sample is not None:
        clip = probe(scan.sample.head, total_bytes=scan.sample.total_bytes)
        return AudioLength(clip.seconds, clip.source) if clip else ASSUMED
    if scan.has_url:
        return ASSUMED
    if unread_bytes == 0:
        return NO_AUDIO
    clip = None if unread_bytes is None else probe(b"", total_bytes=unread_bytes * 3 // 4)
    return AudioLength(clip.seconds, clip.source) if clip else ASSUMED
