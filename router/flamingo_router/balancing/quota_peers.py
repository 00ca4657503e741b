"""What other routers have spent of each caller's limits, from their reports.

How it works: a report has sums since the router's start, so what was spent since the last one is a
difference, and a report that was lost loses nothing. The first report of a router, or of its next
process, is only the start of that: what it spent before is in the `left` that it reports.

The routers that have reported lately share every limit with this one. Any other member of the
Service is given its part of it, because what it spends is unknown.

Pure: state, but no I/O; the clock is an argument.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from flamingo_common.wire.report import CallerQuota, QuotaReport

MAX_REPORT_AGE_S = 3.0
"""Without a report for so long, a router counts as one that does not take part."""
NOTHING = CallerQuota()


@dataclass(slots=True)
class _Peer:
    report: QuotaReport
    received_s: float


@dataclass(slots=True)
class QuotaPeers:
    """The routers with which this one exchanges what callers have spent."""

    num_members: int = 1
    """Ready routers, this one included."""
    num_sharing: int = 1
    """Those that take part in the exchange, this one included."""
    _peers: dict[str, _Peer] = field(default_factory=dict)

    def set_members(self, addresses: Collection[str]) -> None:
        """Replace the members; those that are gone are forgotten."""
        self.num_members = max(len(addresses), 1)
        self._peers = {key: peer for key, peer in self._peers.items() if key in addresses}

    def observe(
        self, address: str, report: QuotaReport, *, now_s: float
    ) -> Mapping[str, CallerQuota]:
        """Return what each caller has spent at the router since its last report.

        `requests_left` and `audio_left_s` are set in the first report of a process only, for
        which nothing counts as spent.
        """
        known = self._peers.get(address)
        self._peers[address] = _Peer(report, now_s)
        if known is None or known.report.epoch != report.epoch:
            return {
                name: CallerQuota(
                    requests_left=caller.requests_left, audio_left_s=caller.audio_left_s
                )
                for name, caller in report.callers.items()
            }
        before = known.report.callers
        return {
            name: CallerQuota(
                requests=caller.requests - before.get(name, NOTHING).requests,
                audio_s=caller.audio_s - before.get(name, NOTHING).audio_s,
            )
            for name, caller in report.callers.items()
        }

    def settle(self, *, now_s: float) -> int:
        """Forget routers without a recent report; return how many share, this one included."""
        self._peers = {
            address: peer
            for address, peer in self._peers.items()
            if now_s - peer.received_s <= MAX_REPORT_AGE_S
        }
        self.num_sharing = 1 + len(self._peers)
        return self.num_sharing

    def num_in_flight(self, name: str) -> int:
        """Return how many requests of the caller are in flight at other routers."""
        return sum(caller.num_in_flight for caller in self._reported(name))

    def left(self, name: str) -> CallerQuota:
        """Return what is left to the caller by the reports; the least of each limit."""
        requests = [one.requests_left for one in self._reported(name)]
        audio_s = [one.audio_left_s for one in self._reported(name)]
        return CallerQuota(requests_left=_least(requests), audio_left_s=_least(audio_s))

    def _reported(self, name: str) -> list[CallerQuota]:
        reported = (peer.report.callers.get(name) for peer in self._peers.values())
        return [caller for caller in reported if caller is not None]


def _least(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)
