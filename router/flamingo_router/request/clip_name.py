"""A clip's name: the same for the same clip, however it is sent, and without its contents.

It is a digest of the first bytes, as far as the probe reads them, and of the length: enough
to send a clip to the pod that has it cached, and to recognize one that crashes pods; a
response is never chosen by it. The container's header distinguishes clips that begin with the same
silence. The length is rounded where the clip is longer than what is read: its exact size in
a JSON body depends on the rest of the request.

The tenant's name salts it, so that no tenant can learn from a fast response what others sent.

Pure.
"""

import hashlib
import math

from flamingo_router.request.scan import SAMPLE_BYTES, Sample, Scan

HEAD_BYTES = SAMPLE_BYTES // 3 * 3
"""The number of bytes that a base64 text and a form both yield."""
DIGEST_BYTES = 12
STEPS_PER_OCTAVE = 8


def scanned(scan: Scan, seconds: float, *, tenant: str) -> str | None:
    """Return the name of the clip that a scan has found; None without one."""
    if scan.url is not None:
        return url_name(scan.url, tenant=tenant)
    return clip_name(scan.sample, seconds, tenant=tenant)


def clip_name(sample: Sample | None, seconds: float, *, tenant: str) -> str | None:
    """Return the name of the clip that begins with `sample`; None without a sample."""
    if sample is None or not sample.head:
        return None
    is_whole = sample.total_bytes is not None and sample.total_bytes <= HEAD_BYTES
    length = "whole" if is_whole else str(round(math.log2(max(seconds, 1.0)) * STEPS_PER_OCTAVE))
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES, key=tenant.encode()[:64])
    digest.update(f"{length}\n".encode())
    digest.update(memoryview(sample.head)[:HEAD_BYTES])
    return digest.hexdigest()


def url_name(url: str, *, tenant: str) -> str:
    """Return the name of the clip at a URL, whose contents the router does not see."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES, key=tenant.encode()[:64])
    digest.update(f"url\n{url}".encode("utf-8", "replace"))
    return digest.hexdigest()
