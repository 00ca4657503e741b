"""Random sampling: temperature, top-k, top-p and min-p, then one token by the Gumbel-max trick.

Every filter is a cutoff: a token is kept if its score is at least the cutoff. Equal scores are
therefore kept or dropped together; bfloat16 has many.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from flamingo_pod.engine.sampling import noise

MASS_SCALE = 2**48
"""Probabilities are summed as integers in units of 2^-48: exact, so the order cannot matter."""
BLOCK_NUMEL = 1 << 15
"""Noise values that a CPU generates at once: 256 KB of int64, which fit its cache."""


class Candidates(NamedTuple):
    """The best scores of each row, `(rows, n)`, the best first."""

    scores: torch.Tensor
    """float32, as `RankedRows.scores`."""
    ids: torch.Tensor
    """int64"""
    probabilities: torch.Tensor
    """float32, among all of the row."""


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Rows with top-k or top-p, and maybe min-p. All but the scores are columns `(rows, 1)`."""

    scores: torch.Tensor
    """Relative to the row's best and divided by its temperature, float32 `(rows, vocabulary)`."""
    keys: torch.Tensor
    floor: torch.Tensor
    """Min-p as a score relative to the best: log(p / p_best) is their difference."""
    top_k: torch.Tensor
    """0 is off."""
    top_p: torch.Tensor
    """Off is more than any sum of probabilities."""

    def select(self, rows: slice | Sequence[int]) -> "RankedRows":
        """Return some of the rows."""
        return RankedRows(
            self.scores[rows], self.keys[rows], self.floor[rows], self.top_k[rows], self.top_p[rows]
        )

    def candidates(self, num: int) -> Candidates:
        """Return each row's `num` best scores, or all."""
        top, ids = self.scores.topk(min(num, self.scores.shape[1]))
        return Candidates(top, ids, self.scores.softmax(-1).gather(1, ids))

    def cutoff(self, top: torch.Tensor, masses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the least score that passes `(rows, 1)`, and whether all that pass are in `top`.

        Top-p keeps a token while those before it have less than p of the mass that top-k left,
        which is what transformers computes from the other end.
        """
        has_top_k = self.top_k > 0
        last = top[:, -1:]
        kth = top.gather(1, self.top_k.clamp(1, top.shape[1]) - 1)
        kth = kth.where(has_top_k, -math.inf)
        kept = masses.where(top >= kth, 0)
        cumulative = kept.cumsum(-1)
        total = cumulative[:, -1:].where(has_top_k, MASS_SCALE)
        num_kept = ((cumulative - kept) < self.top_p * total).sum(-1, keepdim=True)
        nucleus = top.gather(1, num_kept.clamp(min=1) - 1)
        nucleus = nucleus.where(self.top_p < 1, -math.inf)
        cut = torch.maximum(torch.maximum(kth, nucleus), self.floor)
        # With top-k, scores equal to `last` but outside of `top` would be missing from the total.
        # Where `last` is masked, all behind it are, too: a grammar allows few tokens.
        is_whole = (last < kth.where(has_top_k, cut)) | last.isneginf()
        return cut, is_whole.squeeze(1)


Picker = Callable[[Candidates, RankedRows], tuple[torch.Tensor, torch.Tensor]]
"""What `picked` is."""


def picked(candidates: Candidates, rows: RankedRows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a token id per row, sampled among its candidates, and a flag, both `(rows,)`.

    The flag is false where tokens beyond the candidates may pass the filters, too.
    """
    top, ids, probabilities = candidates
    masses = probabilities.double().mul_(MASS_SCALE).long()
    cut, is_whole = rows.cutoff(top, masses)
    winners = _gumbel_argmax(top, cut, _noise(rows.keys, noise.steps(ids)))
    return ids.gather(1, winners.unsqueeze(1)).squeeze(1), is_whole


def sample_unsorted(scores: torch.Tensor, keys: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    """Return a token id per row with at most min-p: its cutoff is known without sorting.

    Scores, keys and floor are as in `RankedRows`.
    """
    steps = noise.steps_of_all(scores.shape[1], scores.device)
    parts = [
        _gumbel_argmax(scores[at], floor[at], _noise(keys[at], steps)) for at in row_blocks(scores)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def row_blocks(scores: torch.Tensor) -> list[slice]:
    """Return which rows are best computed at once."""
    num_rows, width = scores.shape
    num = num_rows if scores.is_cuda else BLOCK_NUMEL // width
    return [slice(first, first + max(num, 1)) for first in range(0, max(num_rows, 1), max(num, 1))]


def _noise(keys: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Return `noise.gumbel(keys, steps)`, on a CPU in blocks that stay in its cache."""
    width = steps.shape[-1]
    if keys.is_cuda or len(keys) * width <= BLOCK_NUMEL:
        return noise.gumbel(keys, steps)
    num, rows = max(1, BLOCK_NUMEL // width), range(len(keys))
    parts = torch.split(steps.expand(len(keys), width), BLOCK_NUMEL, dim=1)
    blocks = [
        torch.cat([noise.gumbel(keys[at : at + num], part[at : at + num]) for part in parts], dim=1)
        for at in rows[::num]
    ]
    return torch.cat(blocks)


def _gumbel_argmax(scores: torch.Tensor, cut: torch.Tensor, gumbel: torch.Tensor) -> torch.Tensor:
    """Return a column per row, sampled from softmax of its scores (the Gumbel-max trick)."""
    return gumbel.add_(scores).masked_fill_(scores < cut, -math.inf).argmax(dim=-1)
