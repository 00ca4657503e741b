"""The scores of a batch: its logits after bias, penalties, grammars and masks, in this order."""

import functools
import math

import torch

from flamingo_pod.engine.sampling.batch import SamplingArrays


def edited_scores(logits: torch.Tensor, arrays: SamplingArrays[torch.Tensor]) -> torch.Tensor:
    """Return float32 scores `(scores, vocabulary)`; `logits` `(rows, vocabulary)` are kept."""
    scores = logits.index_select(0, arrays.order).float()
    if arrays.edit_places.numel():
        _apply_edits(scores.view(-1), arrays)
    if arrays.grammar_rows.numel():
        _apply_grammars(scores, arrays)
    if arrays.mask_places.numel():
        _apply_masks(scores, arrays)
    return scores


def _apply_edits(flat: torch.Tensor, arrays: SamplingArrays[torch.Tensor]) -> None:
    """Apply bias, then the repetition penalty, then frequency and presence penalties.

    A row that has none of one kind has its neutral value, which leaves a score as it is.
    """
    bias, factor, amount = arrays.edits.unbind()
    before = flat.take(arrays.edit_places).add_(bias)
    after = torch.where(before < 0, before * factor, before / factor).sub_(amount)
    flat.put_(arrays.edit_places, after)


def _apply_grammars(scores: torch.Tensor, arrays: SamplingArrays[torch.Tensor]) -> None:
    """Mask the tokens that the grammars do not allow, before the filters count any of them."""
    rows, packed = arrays.grammar_rows, arrays.grammar_bits
    is_allowed = (packed.unsqueeze(-1) & _bits(packed.device)).flatten(1)
    is_banned = is_allowed[:, : scores.shape[1]] == 0
    if len(rows) == len(scores):  # all, and in the order of the scores
        scores.masked_fill_(is_banned, -math.inf)
    else:
        scores.index_copy_(0, rows, scores.index_select(0, rows).masked_fill_(is_banned, -math.inf))


@functools.cache
def _bits(device: torch.device) -> torch.Tensor:
    """Return the bits of a byte, the lowest first."""
    return 1 << torch.arange(8, dtype=torch.uint8, device=device)


def _apply_masks(scores: torch.Tensor, arrays: SamplingArrays[torch.Tensor]) -> None:
    """Mask the tokens that must not come next, where the grammar allows another one."""
    flat, places = scores.view(-1), arrays.mask_places
    before = flat.take(places)
    masked = torch.full_like(before, -math.inf)
    flat.put_(places, masked)
    is_stuck = scores.amax(dim=-1).isneginf()
    flat.put_(places, before.where(is_stuck.take(arrays.mask_rows), masked))
