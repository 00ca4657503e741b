"""Moments, as Kubernetes writes them and as seconds since 1970.

Pure.
"""

import functools
from datetime import UTC, datetime


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> float:
    """Return the seconds of an RFC 3339 moment."""
    return datetime.fromisoformat(text).timestamp()


def parse_optional(text: str | None) -> float | None:
    """Return the seconds of a moment that may be absent."""
    return None if text is None else parse(text)


def encode(seconds: float) -> str:
    """Return a moment as Kubernetes writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
