"""How much work the engine holds, in seconds.

Pure: the caller brings the measurements. The seconds are predictions: the
router compares pods by them, and a refused client learns from them when to
come back.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_pod.engine.request_stats import RequestStats

PRIOR_ENCODE_S = 0.02
PRIOR_PREFILL_S = 0.03
PRIOR_TOKEN_S = 0.02
"""Used until the first measurement; an L4 and a two-core laptop bracket them."""
STOPS_EARLY = 0.5
"""Answers use about half of the tokens they may."""


@dataclass(slots=True)
class EngineLoad:
    """The requests held, and what a window and a token have cost of late."""

    encode_s: float | None = None
    """Per window."""
    prefill_s: float | None = None
    """Per window's worth of tokens."""
    token_s: float | None = None
    num_running: int = 0
    """Sequences that hold memory, and clips on their way to an embedding."""
    num_kv_tokens: int | None = None
    num_kv_tokens_used: int | None = None
    _in_flight: set[RequestStats] = field(default_factory=set)

    @contextlib.contextmanager
    def in_flight(self, stats: RequestStats) -> Iterator[None]:
        """Count what `stats` has left into the backlog while it lasts."""
        self._in_flight.add(stats)
        try:
            yield
        finally:
            self._in_flight.remove(stats)

    @property
    def num_extra_choices(self) -> int:
        """Choices held beyond one a request."""
        return sum(stats.num_choices - 1 for stats in self._in_flight)

    @property
    def window_s(self) -> float | None:
        """Seconds to encode and prefill one window; None before the first."""
        if self.encode_s is None or self.prefill_s is None:
            return None
        return self.encode_s + self.prefill_s

    @property
    def backlog_s(self) -> float:
        """Predicted seconds until what all requests held have left is done."""
        return sum(map(self._cost_s, self._in_flight))

    @property
    def queued_s(self) -> float:
        """Of these, what comes before the first tokens of all."""
        return sum(map(self._prefill_s, self._in_flight))

    def _cost_s(self, stats: RequestStats) -> float:
        token_s = self.token_s or PRIOR_TOKEN_S
        return self._prefill_s(stats) + stats.num_output_tokens_left * STOPS_EARLY * token_s

    def _prefill_s(self, stats: RequestStats) -> float:
        encode_s = self.encode_s or PRIOR_ENCODE_S
        read_s = (self.prefill_s or PRIOR_PREFILL_S) / TOKENS_PER_WINDOW
        return stats.num_windows_left * encode_s + stats.num_prompt_tokens_left * read_s
