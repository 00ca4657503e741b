"""A clip's name: the same for the same clip, whoever sends it how; it tells nothing of it.

It is made of the first bytes, as the probe has them, and of the length: enough to send
a clip where it was before, and to know one that breaks pods again; never enough to
answer from. A header tells clips apart that begin with the same silence. The length is
rounded where the clip goes on: its exact size in a JSON body depends on what is asked.

A caller's key salts it, so that nobody learns from a quick answer what others sent.

Pure.
"""

import hashlib
import math

from flamingo_router.request.scan import SAMPLE_BYTES, Sample

HEAD_BYTES = SAMPLE_BYTES // 3 * 3
"""What base64 and a form have both."""
DIGEST_BYTES = 12
STEPS_AN_OCTAVE = 8


def clip_name(sample: Sample | None, seconds: float, *, tenant: str) -> str | None:
    """Return the name of the clip whose first bytes are `sample`; None where none was seen."""
    if sample is None or not sample.head:
        return None
    is_whole = sample.total_bytes is not None and sample.total_bytes <= HEAD_BYTES
    length = "whole" if is_whole else str(round(math.log2(max(seconds, 1.0)) * STEPS_AN_OCTAVE))
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES, key=tenant.encode()[:64])
    digest.update(f"{length}\n".encode())
    digest.update(memoryview(sample.head)[:HEAD_BYTES])
    return digest.hexdigest()
