"""Each caller's limits: requests and seconds of audio per minute, and concurrent requests.

A token bucket has the capacity of one minute and fills evenly. A clip that is longer than
what is left is admitted while anything is left, and the bucket is then below zero. So with a
limit of ten minutes of audio, a song of twelve minutes is not rejected. The pod's response
states how long the clip really was, and the difference is charged then.

Several routers that exchange what they have spent (`quota_peers`) apply one limit together. Until
the next exchange each spends at most its part of what was left at the last one, so together they
exceed a limit by at most one request, or one clip, for each router. Routers that do not exchange
apply a share each. A share may change at any time: a smaller one takes tokens away at once, a
larger one only refills faster.

Pure: the clock is an argument.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flamingo_common.errors import RateLimited
from flamingo_common.wire.report import CallerQuota, QuotaReport
from flamingo_router.balancing.quota_peers import QuotaPeers

MINUTE_S = 60.0
EXCHANGE_S = 1.0
"""`Retry-After` where there is more, but not before the next exchange."""
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
    allowance: float = math.inf
    """What this router may spend before the next exchange with others."""
    spent: float = 0.0
    """What this router has spent since it started."""

    def spend(self, amount: float) -> None:
        """Take tokens; a negative amount gives back what was taken before."""
        self.spent += amount
        self.allowance -= amount
        self.level = min(self.level - amount, self.per_minute)

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
    num_at_exchange: int = 0
    """Of this router's requests, those that were in flight at the last exchange."""
    requests: QuotaBucket | None = None
    audio: QuotaBucket | None = None

    def max_in_flight(self, limit: int, num_elsewhere: int, num_sharing: int) -> int:
        """Return how many requests this router may have in flight before the next exchange."""
        num_free = max(limit - self.num_at_exchange - num_elsewhere, 0)
        return self.num_at_exchange + math.ceil(num_free / num_sharing)


@dataclass(slots=True)
class Quotas:
    """The usage of all callers, by the name of their key."""

    share: float
    """The part of every limit that this router applies, with those it exchanges with; (0, 1]."""
    epoch: str = ""
    """Identifies this process to other routers."""
    peers: QuotaPeers = field(default_factory=QuotaPeers)
    _callers: dict[str, _CallerUsage] = field(default_factory=dict)

    def set_members(self, addresses: Collection[str], *, now_s: float) -> None:
        """Replace the routers that share the limits, of which this one is one."""
        self.peers.set_members(addresses)
        self.settle(now_s=now_s)

    def observe(self, address: str, report: QuotaReport, *, now_s: float) -> None:
        """Spend what the router at `address` has spent since its last report."""
        for name, spent in self.peers.observe(address, report, now_s=now_s).items():
            if caller := self._callers.get(name):
                _spend_elsewhere(caller.requests, spent.requests, spent.requests_left)
                _spend_elsewhere(caller.audio, spent.audio_s, spent.audio_left_s)

    def settle(self, *, now_s: float) -> None:
        """End an exchange: divide what is left among the routers that take part in it."""
        num_sharing = self.peers.settle(now_s=now_s)
        self.share = num_sharing / max(self.peers.num_members, num_sharing)
        for caller in self._callers.values():
            caller.num_at_exchange = caller.num_in_flight
            for bucket in (caller.requests, caller.audio):
                if bucket:
                    bucket.refill(now_s)
                    bucket.allowance = math.inf if num_sharing == 1 else bucket.level / num_sharing

    def report(self) -> QuotaReport:
        """Return what this router has spent, and what is left by what it knows."""
        return QuotaReport(
            epoch=self.epoch,
            callers={
                name: CallerQuota(
                    num_in_flight=caller.num_in_flight,
                    requests=caller.requests.spent if caller.requests else 0.0,
                    audio_s=caller.audio.spent if caller.audio else 0.0,
                    requests_left=caller.requests.level if caller.requests else None,
                    audio_left_s=caller.audio.level if caller.audio else None,
                )
                for name, caller in self._callers.items()
            },
        )

    def admit(self, key: KeyLimits, *, now_s: float) -> None:
        """Admit one more request, which must be released when it is over.

        Raises:
            RateLimited: a limit of the key is exhausted; nothing was counted.
        """
        caller = self._usage(key, now_s)
        limit = key.max_concurrent and max(1, math.floor(key.max_concurrent * self.share))
        if limit and caller.num_in_flight >= caller.max_in_flight(
            limit, self.peers.num_in_flight(key.name), self.peers.num_sharing
        ):
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
            caller.requests.spend(1.0)

    def release(self, name: str) -> None:
        """Count an admitted request as over."""
        self._callers[name].num_in_flight -= 1

    def charge_audio(self, name: str, audio_s: float) -> None:
        """Charge seconds of audio; negative seconds refund what was charged before."""
        caller = self._callers.get(name)
        if caller and caller.audio:
            caller.audio.spend(audio_s)

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
        limits = (key.requests_per_minute, key.audio_seconds_per_minute)
        known = (caller.requests, caller.audio)
        is_new = any(
            limit is not None and bucket is None
            for limit, bucket in zip(limits, known, strict=True)
        )  # asked once, since it is a search through the reports of all routers
        left = self.peers.left(key.name) if is_new else CallerQuota()
        caller.requests = self._refilled(
            caller.requests, key.requests_per_minute, left.requests_left, now_s
        )
        caller.audio = self._refilled(
            caller.audio, key.audio_seconds_per_minute, left.audio_left_s, now_s
        )
        return caller

    def _refilled(
        self, known: QuotaBucket | None, limit: float | None, left: float | None, now_s: float
    ) -> QuotaBucket | None:
        """Return the bucket of a limit, which may have changed with the key file.

        A new one has what is `left` by what other routers know; None: they know nothing.
        """
        if limit is None:
            return None
        per_minute = limit * self.share
        if known is None:
            level = per_minute if left is None else min(left, per_minute)
            allowance = math.inf if self.peers.num_sharing == 1 else level / self.peers.num_sharing
            return QuotaBucket(per_minute, level, now_s, allowance)
        known.refill(now_s)
        known.per_minute, known.level = per_minute, min(known.level, per_minute)
        return known


def _spend_elsewhere(bucket: QuotaBucket | None, spent: float, left: float | None) -> None:
    if bucket is None:
        return
    bucket.level = min(bucket.level - spent, bucket.per_minute)
    if left is not None:
        bucket.level = min(bucket.level, left)


def _reject_if_below(bucket: QuotaBucket | None, needed: float, key: str, unit: str) -> None:
    if bucket and (bucket.level < needed or bucket.allowance <= 0):
        wait_s = bucket.wait_s(needed) or EXCHANGE_S
        raise RateLimited(
            f"the key {key!r} has reached its limit of {bucket.per_minute:g} {unit} per minute;"
            f" retry in {max(math.ceil(wait_s), 1)} s",
            retry_after_s=wait_s,
        )
