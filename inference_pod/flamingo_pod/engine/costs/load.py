"""The engine's backlog: predicted seconds of work left.

The router compares pods by it, and the Retry-After of a rejected request is computed from it. The
engine supplies the measurements.

Pure.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_pod.engine.costs.recent_costs import RecentCosts
from flamingo_pod.engine.costs.request_stats import RequestStats

PRIOR_ENCODE_S = 0.02
PRIOR_PREFILL_S = 0.03
PRIOR_TOKEN_S = 0.02
"""Used until the first measurement; an L4 is faster and a two-core laptop slower."""
EXPECTED_OUTPUT_RATIO = 0.5
"""Outputs use about half of `max_tokens`."""


@dataclass(slots=True)
class EngineLoad:
    """The requests in flight, and the recent cost of a window and a token."""

    num_running: int = 0
    """Running sequences, and clips being encoded for an embedding."""
    num_low_running: int = 0
    """Those of them that have low priority."""
    num_kv_tokens: int | None = None
    num_kv_tokens_used: int | None = None
    recent: RecentCosts = field(default_factory=RecentCosts)
    _in_flight: set[RequestStats] = field(default_factory=set)

    def reset_costs(self) -> None:
        """Forget what was measured."""
        self.recent = RecentCosts()

    @contextlib.contextmanager
    def in_flight(self, stats: RequestStats) -> Iterator[None]:
        """Count what `stats` has left as part of the backlog inside the block."""
        self._in_flight.add(stats)
        try:
            yield
        finally:
            self._in_flight.remove(stats)

    @property
    def num_extra_choices(self) -> int:
        """Choices in flight beyond the first of each request."""
        return sum(stats.num_choices - 1 for stats in self._in_flight)

    @property
    def num_extra_low_choices(self) -> int:
        """Those of them that have low priority."""
        return sum(stats.num_choices - 1 for stats in self._low)

    @property
    def window_s(self) -> float | None:
        """Seconds to encode and prefill one window; None before the first."""
        encode_s, prefill_s = self.recent.encode_s, self.recent.prefill_s
        return None if encode_s is None or prefill_s is None else encode_s + prefill_s

    @property
    def backlog_s(self) -> float:
        """Predicted seconds to finish all requests in flight."""
        return sum(map(self._cost_s, self._in_flight))

    @property
    def queued_s(self) -> float:
        """The part of the backlog before the first tokens: encoding and prefill."""
        return sum(map(self._prefill_s, self._in_flight))

    @property
    def low_backlog_s(self) -> float:
        """The part of the backlog that has low priority."""
        return sum(map(self._cost_s, self._low))

    @property
    def low_queued_s(self) -> float:
        """The part of `queued_s` that has low priority."""
        return sum(map(self._prefill_s, self._low))

    @property
    def _low(self) -> list[RequestStats]:
        return [stats for stats in self._in_flight if stats.priority.is_low]

    def _cost_s(self, stats: RequestStats) -> float:
        token_s = self.recent.token_s or PRIOR_TOKEN_S
        decode_s = stats.num_output_tokens_left * EXPECTED_OUTPUT_RATIO * token_s
        return self._prefill_s(stats) + decode_s

    def _prefill_s(self, stats: RequestStats) -> float:
        encode_s = self.recent.encode_s or PRIOR_ENCODE_S
        token_s = (self.recent.prefill_s or PRIOR_PREFILL_S) / TOKENS_PER_WINDOW
        num_tokens = stats.num_prompt_tokens_left + stats.num_later_prompt_tokens_left
        return stats.num_windows_left * encode_s + num_tokens * token_s
