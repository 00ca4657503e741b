"""How many tokens one step may compute.

A step's prefill is what the streams beside it wait for. While somebody decodes,
the budget is what fits the inter-token target at the pace measured; otherwise
it is as large as memory likes.

Pure.
"""

from dataclasses import dataclass

SMOOTHING = 0.2


@dataclass(slots=True)
class TokenBudget:
    """Adapts to the pace of the machine."""

    target_s: float = 0.05
    """The gap between two tokens of a stream that is aimed at."""
    min_tokens: int = 256
    """Smaller products waste the machine: a token costs 689 µs at 64 a step and 580 at 256."""
    max_tokens: int = 2048
    token_s: float | None = None
    """Measured seconds per token of prefill; None before the first."""
    decode_s: float = 0.0
    """Measured seconds of a step that only decodes."""

    def tokens(self, num_decoding: int) -> int:
        """Return how many tokens the next step may prefill beside `num_decoding` rows."""
        if num_decoding == 0 or self.token_s is None:
            return self.max_tokens
        fitting = (self.target_s - self.decode_s) / self.token_s
        return int(min(max(fitting, self.min_tokens), self.max_tokens))

    def observe(self, step_s: float, *, num_decoding: int, num_prefilled: int) -> None:
        """Learn from one step."""
        if num_prefilled == 0:
            self.decode_s += SMOOTHING * (step_s - self.decode_s)
            return
        pace_s = max(step_s - (self.decode_s if num_decoding else 0.0), 0.0) / num_prefilled
        self.token_s = pace_s if self.token_s is None else _smooth(self.token_s, pace_s)


def _smooth(before_s: float, now_s: float) -> float:
    return before_s + SMOOTHING * (now_s - before_s)
