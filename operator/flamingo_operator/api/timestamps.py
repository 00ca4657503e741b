"""RFC 3339 timestamps, as Kubernetes writes them, and seconds since 1970.

Pure.
"""

import functools
from datetime import UTC, datetime


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> float:
    """Return the Unix time of an RFC 3339 timestamp.

    Raises:
        ValueError: `text` is not one.
    """
    return datetime.fromisoformat(text).timestamp()


def parse_optional(text: str | None) -> float | None:
    """Return the Unix time of a timestamp that may be absent."""
    return None if text is None else parse(text)


def encode(seconds: float) -> str:
    """Return a `metav1.Time`: UTC, in whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode_micro(seconds: float) -> str:
    """Return a `metav1.MicroTime`, as Leases have it: UTC, in microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
