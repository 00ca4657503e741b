"""How much each caller may ask of this router: requests and audio by the minute, and at once.

A bucket holds a minute's worth and fills evenly. A clip may be longer than what is
left: it is let in while anything is, and the debt is waited off; so a limit of ten
minutes' audio does not shut out a song of twelve. What a clip really was, the pod
says with its answer, and the difference is settled then.

Each replica of the router counts for itself; `share` is its part of every limit.

Pure: the clock is an argument.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flamingo_common.errors import RateLimited

MINUTE_S = 60.0
BUSY_RETRY_S = 1.0
"""When to come back after too many at once: nobody knows when one of them ends."""


class Terms(Protocol):
    """What a key says of its caller's limits; None is no limit."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def max_concurrent(self) -> int | None: ...  # noqa: D102
    @property
    def requests_per_minute(self) -> float | None: ...  # noqa: D102
    @property
    def audio_seconds_per_minute(self) -> float | None: ...  # noqa: D102


@dataclass(slots=True)
class Bucket:
    """What is left of one limit."""

    per_minute: float
    level: float
    """Below zero: in debt."""
    at_s: float
    """When `level` was true."""

    def fill(self, now_s: float) -> None:
        """Let time pass."""
        passed_s = max(now_s - self.at_s, 0.0)
        self.level = min(self.level + passed_s * self.per_minute / MINUTE_S, self.per_minute)
        self.at_s = now_s

    def wait_s(self, needed: float) -> float:
        """Return in how many seconds `needed` is there."""
        return max(needed - self.level, 0.0) * MINUTE_S / self.per_minute


@dataclass(slots=True)
class _Caller:
    num_open: int = 0
    requests: Bucket | None = None
    audio: Bucket | None = None


@dataclass(slots=True)
class Quotas:
    """All callers, by name."""

    share: float = 1.0
    _callers: dict[str, _Caller] = field(default_factory=dict)

    def enter(self, terms: Terms, *, now_s: float) -> None:
        """Let one more request in.

        Raises:
            RateLimited: not now; nothing has been counted.
        """
        caller = self._caller(terms, now_s)
        most = terms.max_concurrent and max(1, math.floor(terms.max_concurrent * self.share))
        if most and caller.num_open >= most:
            told = f"the key {terms.name!r} has {most} requests open, its limit"
            raise RateLimited(told, retry_after_s=BUSY_RETRY_S)
        _refuse_short(caller.requests, 1.0, f"the key {terms.name!r} may ask {{:g}} times a minute")
        least = math.ulp(0.0)
        told = f"the key {terms.name!r} may send {{:g}} s of audio a minute"
        _refuse_short(caller.audio, least, told)
        caller.num_open += 1
        if caller.requests:
            caller.requests.level -= 1

    def leave(self, name: str) -> None:
        """Count a request as over."""
        self._callers[name].num_open -= 1

    def charge(self, name: str, audio_s: float) -> None:
        """Take seconds of audio off; negative ones, charged too many, come back."""
        caller = self._callers.get(name)
        if caller and (audio := caller.audio):
            audio.level = min(audio.level - audio_s, audio.per_minute)

    def headers(self, name: str) -> Mapping[str, str]:
        """Return what is left to a caller, by the names that OpenAI uses."""
        caller = self._callers.get(name, _Caller())
        told: dict[str, str] = {}
        for kind, bucket in (("requests", caller.requests), ("audio-seconds", caller.audio)):
            if bucket:
                told[f"x-ratelimit-limit-{kind}"] = f"{bucket.per_minute:g}"
                told[f"x-ratelimit-remaining-{kind}"] = str(max(math.floor(bucket.level), 0))
                told[f"x-ratelimit-reset-{kind}"] = f"{bucket.wait_s(bucket.per_minute):.3f}s"
        return told

    def _caller(self, terms: Terms, now_s: float) -> _Caller:
        caller = self._callers.setdefault(terms.name, _Caller())
        caller.requests = self._bucket(caller.requests, terms.requests_per_minute, now_s)
        caller.audio = self._bucket(caller.audio, terms.audio_seconds_per_minute, now_s)
        return caller

    def _bucket(self, known: Bucket | None, limit: float | None, now_s: float) -> Bucket | None:
        """Return the bucket of a limit, which may have changed with the key file."""
        if limit is None:
            return None
        per_minute = limit * self.share
        if known is None:
            return Bucket(per_minute, per_minute, now_s)
        known.fill(now_s)
        known.per_minute, known.level = per_minute, min(known.level, per_minute)
        return known


def _refuse_short(bucket: Bucket | None, needed: float, told: str) -> None:
    if bucket and bucket.level < needed:
        raise RateLimited(told.format(bucket.per_minute), retry_after_s=bucket.wait_s(needed))
