"""How much work the engine holds, in seconds.

Pure: the caller brings the measurements. The seconds are predictions: the
router compares pods by them, and a refused client learns from them when to
come back.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

PRIOR_WINDOW_S = 0.05
PRIOR_TOKEN_S = 0.02
"""Used until the first measurement; an L4 and a two-core laptop bracket them."""
STOPS_EARLY = 0.5
"""Answers use about half of the tokens they may."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one request will ask of the engine."""

    num_windows: int
    max_tokens: int


@dataclass(slots=True)
class Load:
    """The requests held, and what a window and a token have cost of late."""

    encode_s: float | None = None
    """Per window."""
    prefill_s: float | None = None
    """Per window; text only prompts count as one."""
    token_s: float | None = None
    num_running: int = 0
    _held: dict[int, Work] = field(default_factory=dict)
    _next_ticket: int = 0

    @contextlib.contextmanager
    def holding(self, work: Work) -> Iterator[None]:
        """Count `work` into the backlog while it lasts."""
        self._next_ticket += 1
        ticket = self._next_ticket
        self._held[ticket] = work
        try:
            yield
        finally:
            del self._held[ticket]

    @property
    def window_s(self) -> float | None:
        """Seconds to encode and prefill one window; None before the first."""
        if self.encode_s is None or self.prefill_s is None:
            return None
        return self.encode_s + self.prefill_s

    @property
    def backlog_s(self) -> float:
        """Predicted seconds until all held work is done."""
        return sum(map(self._cost_s, self._held.values()))

    def _cost_s(self, work: Work) -> float:
        window_s = self.window_s or PRIOR_WINDOW_S
        token_s = self.token_s or PRIOR_TOKEN_S
        return work.num_windows * window_s + work.max_tokens * STOPS_EARLY * token_s
