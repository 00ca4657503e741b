"""The router's view of one pod at one moment: what it reported, and what was sent to it since.

Pure.
"""

from typing import NamedTuple

from flamingo_common.wire.report import LoadReport
from flamingo_router.balancing.ledger import Ledger


class LowLoad(NamedTuple):
    """The work of low priority at one pod."""

    backlog_s: float
    queued_s: float
    num_ahead: int
    """Requests that wait for their first token."""


NO_LOW_LOAD = LowLoad(0.0, 0.0, 0)


class Endpoint(NamedTuple):
    """The router's view of one pod at one moment."""

    address: str
    is_ready: bool
    """Whether it may get requests."""
    is_known: bool = True
    """Whether its report is fresh."""
    backlog_s: float = 0.0
    queued_s: float = 0.0
    """The part of the backlog that one more request waits for before its first token."""
    num_ahead: int = 0
    """Requests at the pod that wait for their first token."""
    num_in_flight: int = 0
    """Requests of this router that are in flight to the pod."""
    load: LoadReport | None = None
    """Its fresh report; None when there is none."""
    model: str = ""
    reason: str = ""
    """Why it gets no requests; empty when it is ready."""
    num_free_kv_tokens: float | None = None
    """None: the pod does not report it."""
    low: LowLoad | None = None
    """The part of the load that has low priority; None: the pod knows no priorities."""

    @property
    def beside_s(self) -> float:
        """How much longer `queued_s` takes, because decoding takes a part of each step.

        All decoding of what is there, but at most as much as there is prefill: a pod that only
        decodes starts a new request at once.
        """
        return min(max(self.backlog_s - self.queued_s, 0.0), self.queued_s)

    def queue_s(self, *, is_low: bool) -> float:
        """Return the prefill before one more request, of its own kind where the pod knows kinds."""
        return self.low.queued_s if is_low and self.low is not None else self.queued_s

    def as_live(self) -> "Endpoint":
        """Return the endpoint without the work that a live request overtakes there."""
        low = self.low
        if low is None or not any(low):
            return self
        return self._replace(
            backlog_s=max(self.backlog_s - low.backlog_s, 0.0),
            queued_s=max(self.queued_s - low.queued_s, 0.0),
            num_ahead=max(self.num_ahead - low.num_ahead, 0),
            low=NO_LOW_LOAD,
        )


def backlog_s(ledger: Ledger, load: LoadReport | None, now_s: float, age_s: float) -> float:
    """Return the work that is left: as reported and since then, or that of our own tickets."""
    if load is None:
        return ledger.backlog_s(now_s=now_s, unreported_only=False)
    own_s = ledger.backlog_s(now_s=now_s, unreported_only=True)
    return own_s + max(load.backlog_s - age_s, 0.0)


def queued_s(ledger: Ledger, load: LoadReport | None, now_s: float, age_s: float) -> float:
    """Return the prefill that one more request waits for: as reported, or the largest estimate."""
    if load is not None and load.queued_s is not None:
        own_s = ledger.queued_s(now_s=now_s, unreported_only=True) if ledger.tickets else 0.0
        return own_s + max(load.queued_s - age_s, 0.0)
    own_s = ledger.queued_s(now_s=now_s, unreported_only=False) if ledger.tickets else 0.0
    if load is None or not load.num_waiting:
        return own_s
    waiting_share = load.num_waiting / (load.num_waiting + load.num_running)
    return max(own_s, waiting_share * max(load.backlog_s - age_s, 0.0))


def low_load(
    ledger: Ledger, last: LoadReport | None, is_fresh: bool, now_s: float, age_s: float
) -> LowLoad | None:
    """Return the work of low priority: as reported and since then, or that of our own tickets.

    Live work goes first, so the time since the report was spent on low priority last.
    """
    if last is None or last.low is None:
        return None
    backlog_s = ledger.low_backlog_s(now_s=now_s, unreported_only=is_fresh)
    queued_s = ledger.queued_s(now_s=now_s, unreported_only=is_fresh, only_low=True)
    if is_fresh:
        live_s = last.backlog_s - last.low.backlog_s
        backlog_s += max(last.low.backlog_s - max(age_s - live_s, 0.0), 0.0)
        live_s = (last.queued_s or 0.0) - last.low.queued_s
        queued_s += max(last.low.queued_s - max(age_s - live_s, 0.0), 0.0)
    num_reported = last.low.num_waiting if is_fresh else 0
    return LowLoad(backlog_s, queued_s, max(ledger.num_low_waiting, num_reported))


def num_free_kv_tokens(load: LoadReport | None, ledger: Ledger, now_s: float) -> float | None:
    """Return the room for keys and values that is left; None if the pod does not report it."""
    if load is None or load.num_kv_tokens is None or load.num_kv_tokens_used is None:
        return None
    num_free = load.num_kv_tokens - load.num_kv_tokens_used
    return num_free - ledger.num_unreported_kv_tokens(now_s=now_s)
