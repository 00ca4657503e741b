"""The log-probabilities of the rows that include them: their own token's, and the likeliest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

MAX_LOGPROBS = 20
"""OpenAI's limit of `top_logprobs`."""

TopLogprobs = tuple[tuple[int, float], ...]
"""Token ids with their log-probabilities, likeliest first."""


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log-probabilities of some rows, on the device."""

    table: torch.Tensor
    """float32 `(rows, vocabulary)`."""
    own: torch.Tensor
    """Of the row's token, float32 `(rows, 1)`."""
    top: torch.Tensor
    """The highest, float32 `(rows, MAX_LOGPROBS)`, or fewer in a small vocabulary."""
    top_ids: torch.Tensor
    """int64, of the same shape."""

    @classmethod
    def create(cls, logits: torch.Tensor, token_ids: torch.Tensor) -> "Logprobs":
        """Return those of the model's own distribution; an invalid row's have no meaning.

        `logits` is `(rows, vocabulary)`, `token_ids` `(rows,)`.
        """
        table = logits.float().log_softmax(-1)
        own = table.gather(1, token_ids.clamp(min=0).unsqueeze(1))
        # Always the same number, so that the choice between equal scores does not depend on the
        # batch.
        top, top_ids = table.topk(min(MAX_LOGPROBS, table.shape[1]))
        return cls(table, own, top, top_ids)


def top_logprobs(
    values: npt.NDArray[Any], ids: npt.NDArray[Any], nums: Sequence[int]
) -> list[TopLogprobs]:
    """Return the first `nums` of each row, equal values in the order of their ids."""
    order = np.lexsort((ids, -values))[:, : max(nums)]
    values = np.take_along_axis(values, order, axis=1)
    ids = np.take_along_axis(ids, order, axis=1)
    pairs = zip(ids.tolist(), values.tolist(), nums, strict=True)
    return [tuple(zip(row_ids[:num], row[:num], strict=True)) for row_ids, row, num in pairs]
