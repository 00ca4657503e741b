"""What sampling keeps of one sequence from its submission to its end.

Nothing in it changes but the counts of its output tokens: all that a step needs of the parameters
is computed once, as one record of a batch's table.

Pure.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flamingo_pod.engine.sampling.noise_keys import seed_key
from flamingo_pod.engine.sampling.score_edits import ScoreEdits, has_penalties
from flamingo_pod.engine.scheduling.sequence import SamplingParams

MIN_TEMPERATURE = 1e-5
"""Lower is greedy, as in vLLM: float32 scores divided by less leave only the maximum."""
MAX_CANDIDATES = 1024
"""Scores that are sorted at first; all 151,672 are sorted only for rows that need more."""


class Group(IntEnum):
    """How a row is sampled; a batch has the rows of a group next to each other."""

    ARGMAX = 0
    """The likeliest token of the model's own logits."""
    PLAIN = 1
    """A random token of the model's own logits, with at most min-p."""
    GREEDY = 2
    """The likeliest token of edited scores."""
    SORTED = 3
    """Top-k or top-p among the `MAX_CANDIDATES` best scores, which are nearly always enough."""
    WIDE = 4
    """Top-k among all scores, since it passes at least `MAX_CANDIDATES`."""
    UNSORTED = 5
    """A random token of edited scores, with at most min-p: its cutoff is known without sorting."""


RECORD = np.dtype(
    [
        ("seed_key", np.uint64),
        ("group", np.int64),
        ("top_k", np.int64),
        ("top_p", np.float64),
        ("num_logprobs", np.int64),
        ("temperature", np.float32),
        ("floor", np.float32),
    ]
)
"""A row of a batch's table; a filter that is off passes all tokens.

`top_k` 0 is off. `floor` is min-p as a score relative to the best: log(p / p_best) is their
difference. `num_logprobs` is -1 where none are requested.
"""


@dataclass(frozen=True, slots=True)
class SamplingState:
    """One sequence's parameters and penalties, as `SamplingBatch` reads them."""

    record: bytes
    """One `RECORD`; the group is that of a step without grammar and masks."""
    edits: ScoreEdits | None
    """None without bias and penalties."""
    needs_output: bool
    """Whether the next token depends on which tokens came before, not only on how many: then its
    step cannot be launched before the last token has been read."""
    logprob_token_ids: Sequence[int] = ()

    @classmethod
    def create(
        cls,
        params: SamplingParams,
        seed: int,
        *,
        prompt_ids: Iterable[int],
        vocabulary_size: int,
    ) -> "SamplingState":
        """Return the state of a sequence that has no output yet.

        `seed` is the request's, or a random one. `prompt_ids` are read for the repetition penalty
        only.
        """
        is_edited = has_penalties(params) or bool(params.logit_bias)
        return cls(
            _record(params, seed, vocabulary_size),
            ScoreEdits(params, prompt_ids, vocabulary_size) if is_edited else None,
            has_penalties(params),
            params.logprob_token_ids,
        )


def _record(params: SamplingParams, seed: int, vocabulary_size: int) -> bytes:
    record = np.zeros(1, RECORD)
    record["seed_key"] = seed_key(seed)
    record["group"] = _group(params)
    record["top_k"] = min(params.top_k or 0, vocabulary_size)
    # Off is 2, not 1: the rounded masses of a whole distribution may add up to more than 1.
    record["top_p"] = params.top_p if _has_top_p(params) else 2.0
    record["num_logprobs"] = -1 if params.num_logprobs is None else params.num_logprobs
    record["temperature"] = params.temperature
    record["floor"] = math.log(params.min_p) if params.min_p else -math.inf
    return record.tobytes()


def _group(params: SamplingParams) -> Group:
    is_edited = has_penalties(params) or bool(params.logit_bias)
    if params.temperature < MIN_TEMPERATURE or params.top_k == 1:
        return Group.GREEDY if is_edited else Group.ARGMAX
    if (params.top_k or 0) >= MAX_CANDIDATES:
        return Group.WIDE
    if params.top_k or _has_top_p(params):
        return Group.SORTED
    return Group.UNSORTED if is_edited else Group.PLAIN


def _has_top_p(params: SamplingParams) -> bool:
    return params.top_p is not None and params.top_p < 1
