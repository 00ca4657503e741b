"""Tokens of rows that need nothing but the model's logits: greedy, or random with at most min-p.

Any of them can be sampled with all others at once, whatever their parameters are. So this is what
a recorded step contains, and what the kernel in `kernels/plain_tokens.py` computes.
"""

import math
from collections.abc import Callable

import torch

from flamingo_pod.engine.sampling.batch import PlainRows
from flamingo_pod.engine.sampling.filters import row_blocks, sample_unsorted
from flamingo_pod.engine.sampling.results import NO_TOKEN

PlainSampler = Callable[[torch.Tensor, PlainRows[torch.Tensor]], torch.Tensor]
"""What `plain_tokens` is."""


def plain_tokens(logits: torch.Tensor, rows: PlainRows[torch.Tensor]) -> torch.Tensor:
    """Return the next token of each row, int64 `(rows,)`; `logits` are `(rows, vocabulary)`.

    It is `NO_TOKEN` where a row has NaN or +inf, or nothing but -inf. The least id of equal scores
    wins.
    """
    best, likeliest = logits.max(dim=-1)  # it propagates NaN
    is_random = rows.temperature > 0
    drawn = drawn_tokens(
        logits, best, rows._replace(temperature=rows.temperature.where(is_random, 1))
    )
    return drawn.where(is_random, likeliest).where(is_valid(best), NO_TOKEN)


def is_valid(best: torch.Tensor) -> torch.Tensor:
    """Return whether rows with these largest scores have a token, in half of isfinite's calls."""
    return best.abs() < math.inf


def drawn_tokens(
    logits: torch.Tensor, best: torch.Tensor, rows: PlainRows[torch.Tensor]
) -> torch.Tensor:
    """Return a random token of each row, int64 `(rows,)`; `best` are the largest logits.

    The token of a row whose best is not finite has no meaning.
    """
    columns = [each.unsqueeze(1) for each in (best.float(), *rows)]
    parts = [_drawn(logits[at], *[each[at] for each in columns]) for at in row_blocks(logits)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _drawn(
    logits: torch.Tensor,
    best: torch.Tensor,
    keys: torch.Tensor,
    temperature: torch.Tensor,
    floor: torch.Tensor,
) -> torch.Tensor:
    # Relative to the row's best: near 0, where float32 is finest, at any temperature.
    return sample_unsorted((logits.float() - best).div_(temperature), keys, floor)
