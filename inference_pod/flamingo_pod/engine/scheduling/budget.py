"""The token budget of one step: how many prompt tokens it may prefill.

The sequences that decode in a step wait for its prefill. While any sequence decodes, the budget is
what fits the inter-token latency target at the measured pace; otherwise it is the maximum.

Pure.
"""

from dataclasses import dataclass

SMOOTHING = 0.2
"""Weight of the newest measurement in the moving averages."""


@dataclass(slots=True)
class TokenBudget:
    """Adapts to the measured pace of the machine."""

    target_s: float = 0.05
    """Target of the inter-token latency."""
    min_tokens: int = 256
    """Smaller matrix products are inefficient: a token costs 689 µs at 64 a step, 580 µs at 256."""
    max_tokens: int = 2048
    token_s: float | None = None
    """Measured seconds per prefilled token; None before the first."""
    decode_s: float = 0.0
    """Measured seconds of a step that only decodes."""

    def max_prefill_tokens(self, num_decoding: int) -> int:
        """Return how many tokens the next step may prefill beside `num_decoding` sequences."""
        if num_decoding == 0 or self.token_s is None:
            return self.max_tokens
        fitting = (self.target_s - self.decode_s) / self.token_s
        return int(min(max(fitting, self.min_tokens), self.max_tokens))

    def reset(self) -> None:
        """Forget what was measured."""
        self.token_s, self.decode_s = None, 0.0

    def observe(self, step_s: float, *, num_decoding: int, num_prefilled: int) -> None:
        """Update the averages with one step that took `step_s` seconds."""
        if num_prefilled == 0:
            self.decode_s += SMOOTHING * (step_s - self.decode_s)
            return
        pace_s = max(step_s - (self.decode_s if num_decoding else 0.0), 0.0) / num_prefilled
        self.token_s = pace_s if self.token_s is None else _smooth(self.token_s, pace_s)


def _smooth(average_s: float, newest_s: float) -> float:
    return average_s + SMOOTHING * (newest_s - average_s)
