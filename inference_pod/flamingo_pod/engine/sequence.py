"""The engine's nouns.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flamingo.wire.responses import FinishReason


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sequence's tokens are chosen. Each default changes nothing."""

    max_tokens: int
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    num_logprobs: int | None = None
    """None: no log-probabilities; 0: the chosen token's; k: also the k likeliest tokens'."""


@dataclass(frozen=True, slots=True)
class Step:
    """One token of a sequence, and whether it was the last.

    `token_id` is None when the sequence ended without a token of text: the
    model said end-of-sequence.
    """

    token_id: int | None
    finish_reason: FinishReason | None = None
