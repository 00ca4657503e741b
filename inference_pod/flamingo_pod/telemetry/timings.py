"""The timings of the last finished requests, for the load report.

Pure.
"""

from collections import deque

from flamingo_common.wire.report import MAX_TIMINGS, RequestTiming
from flamingo_pod.engine.costs.request_stats import RequestStats


class RecentTimings:
    """The last `MAX_TIMINGS` finished requests, numbered from 1 on."""

    def __init__(self) -> None:
        self._last: deque[RequestTiming] = deque(maxlen=MAX_TIMINGS)
        self._num_finished = 0

    def add(self, stats: RequestStats) -> None:
        """Add a request that was answered in full."""
        self._num_finished += 1
        self._last.append(
            RequestTiming(
                number=self._num_finished,
                route=stats.route,
                num_windows=stats.num_windows_computed,
                num_tokens=stats.num_output_tokens,
                num_answers=stats.num_choices,
                compute_s=stats.compute_s,
            )
        )

    def last(self) -> list[RequestTiming]:
        """Return them, oldest first."""
        return list(self._last)
