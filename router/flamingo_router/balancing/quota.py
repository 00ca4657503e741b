"""Each caller's limits: requests and seconds of audio per minute, and concurrent requests.

A token bucket has the capacity of one minute and fills evenly. A clip that is longer than
what is left is admitted while anything is left, and the bucket is then below zero. So with a
limit of ten minutes of audio, a song of twelve minutes is not rejected. The pod's response
states how long the clip really was, and the difference is charged then.

Each router replica counts on its own; `share` is its part of every limit. It may change at any
time: a smaller share takes tokens away at once, a larger one only refills faster.

Pure: the clock is an argument.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flamingo_common.errors import RateLimited

MINUTE_S = 60.0
CONCURRENCY_RETRY_S = 1.0
"""`Retry-After` for too many concurrent requests: when one of them ends is unknown."""


class KeyLimits(Protocol):
    """The limits of one API key; None: unlimited."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def max_concurrent(self) -> int | None: ...  # noqa: D102
    @property
    def requests_per_minute(self) -> float | None: ...  # noqa: D102
    @property
    def audio_seconds_per_minute(self) -> float | None: ...  # noqa: D102


@dataclass(slots=True)
class QuotaBucket:
    """What is left of one limit."""

    per_minute: float
    level: float
    """Negative after overuse."""
    at_s: float
    """When `level` was last updated."""

    def refill(self, now_s: float) -> None:
        """Add tokens for the time since the last refill."""
        passed_s = max(now_s - self.at_s, 0.0)
        self.level = min(self.level + passed_s * self.per_minute / MINUTE_S, self.per_minute)
        self.at_s = now_s

    def wait_s(self, needed: float) -> float:
        """Return in how many seconds the level reaches `needed`."""
        return max(needed - self.level, 0.0) * MINUTE_S / self.per_minute


@dataclass(slots=True)
class _CallerUsage:
    num_in_flight: int = 0
    requests: QuotaBucket | None = None
    audio: QuotaBucket | None = None


@dataclass(slots=True)
class Quotas:
    """The usage of all callers, by the name of their key."""

    share: float
    """This replica's part of every limit, in (0, 1]."""
    _callers: dict[str, _CallerUsage] = field(default_factory=dict)

    def divide_among(self, num_replicas: int) -> None:
        """Set the share to that of one of `num_replicas`; of none, this one is the only one."""
        self.share = 1 / max(num_replicas, 1)

    def admit(self, key: KeyLimits, *, now_s: float) -> None:
        """Admit one more request, which must be released when it is over.

        Raises:
            RateLimited: a limit of the key is exhausted; nothing was counted.
        """
        caller = self._usage(key, now_s)
        limit = key.max_concurrent and max(1, math.floor(key.max_concurrent * self.share))
        if limit and caller.num_in_flight >= limit:
            raise RateLimited(
                f"the key {key.name!r} has reached its limit of {limit} concurrent requests;"
                " retry when one of them has ended",
                retry_after_s=CONCURRENCY_RETRY_S,
            )
        _reject_if_below(caller.requests, 1.0, key.name, "requests")
        smallest = math.ulp(0.0)  # any audio left at all
        _reject_if_below(caller.audio, smallest, key.name, "seconds of audio")
        caller.num_in_flight += 1
        if caller.requests:
            caller.requests.level -= 1

    def release(self, name: str) -> None:
        """Count an admitted request as over."""
        self._callers[name].num_in_flight -= 1

    def charge_audio(self, name: str, audio_s: float) -> None:
        """Charge seconds of audio; negative seconds refund what was charged before."""
        caller = self._callers.get(name)
        if caller and (audio := caller.audio):
            audio.level = min(audio.level - audio_s, audio.per_minute)

    def headers(self, name: str) -> Mapping[str, str]:
        """Return what is left to a caller, under the header names that OpenAI uses."""
        caller = self._callers.get(name, _CallerUsage())
        headers: dict[str, str] = {}
        for kind, bucket in (("requests", caller.requests), ("audio-seconds", caller.audio)):
            if bucket:
                headers[f"x-ratelimit-limit-{kind}"] = f"{bucket.per_minute:g}"
                headers[f"x-ratelimit-remaining-{kind}"] = str(max(math.floor(bucket.level), 0))
                headers[f"x-ratelimit-reset-{kind}"] = f"{bucket.wait_s(bucket.per_minute):.3f}s"
        return headers

    def _usage(self, key: KeyLimits, now_s: float) -> _CallerUsage:
        caller = self._callers.setdefault(key.name, _CallerUsage())
        caller.requests = self._refilled(caller.requests, key.requests_per_minute, now_s)
        caller.audio = self._refilled(caller.audio, key.audio_seconds_per_minute, now_s)
        return caller

    def _refilled(
        self, known: QuotaBucket | None, limit: float | None, now_s: float
    ) -> QuotaBucket | None:
        """Return the bucket of a limit, which may have changed with the key file."""
        if limit is None:
            return None
        per_minute = limit * self.share
        if known is None:
            return QuotaBucket(per_minute, per_minute, now_s)
        known.refill(now_s)
        known.per_minute, known.level = per_minute, min(known.level, per_minute)
        return known


def _reject_if_below(bucket: QuotaBucket | None, needed: float, key: str, unit: str) -> None:
    if bucket and bucket.level < needed:
        wait_s = bucket.wait_s(needed)
        raise RateLimited(
            f"the key {key!r} has reached its limit of {bucket.per_minute:g} {unit} per minute;"
            f" retry in {max(math.ceil(wait_s), 1)} s",
            retry_after_s=wait_s,
        )
