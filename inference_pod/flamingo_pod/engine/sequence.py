"""The engine's nouns.

Pure.
"""

from dataclasses import dataclass

from flamingo.wire.responses import FinishReason


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sequence's tokens are chosen. `temperature` 0 is greedy."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One token of a sequence, and whether it was the last.

    `token_id` is None when the sequence ended without a token of text: the
    model said end-of-sequence.
    """

    token_id: int | None
    finish_reason: FinishReason | None = None
