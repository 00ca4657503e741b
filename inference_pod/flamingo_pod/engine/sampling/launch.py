"""Sample the next token of each row, without waiting for the device.

A row's token depends on that row alone: its logits, its parameters, its seed and the number of
its output tokens. There is no generator state, and nothing is summed in an order that depends on
the batch, so a sequence gets the same tokens alone and in any batch.

The order of the steps is that of transformers' `_get_logits_processor`, and of vLLM where
transformers has no such step: bias, repetition penalty, frequency and presence penalties,
grammar, tokens that must not end the output yet, temperature, top-k, top-p, min-p.

How it works: `launch` copies the batch's arrays to the device at once, queues all operations, and
then one copy of their results to the host; the token ids on the device can be the next step's
input at once. `Launched.read` waits for the copy. Whether the `MAX_CANDIDATES` best scores of a
row with top-p were enough is known only then: where they were not, `read` samples the row again
among all scores, and `SampledToken.is_corrected` says if its token on the device was another one.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch

from flamingo_pod.engine.device.transfer import to_device
from flamingo_pod.engine.sampling.batch import PlainRows, SamplingArrays, SamplingBatch
from flamingo_pod.engine.sampling.filters import Picker, RankedRows, picked
from flamingo_pod.engine.sampling.launched import Launched, ProvisionalRows
from flamingo_pod.engine.sampling.logprobs import Logprobs
from flamingo_pod.engine.sampling.plain import PlainSampler, drawn_tokens, is_valid
from flamingo_pod.engine.sampling.results import NO_TOKEN
from flamingo_pod.engine.sampling.scores import edited_scores
from flamingo_pod.engine.sampling.state import MAX_CANDIDATES, Group


class SamplingKernels(NamedTuple):
    """What takes fewer launches on a GPU."""

    sample_plain: PlainSampler
    pick: Picker


def launch(
    logits: torch.Tensor,
    batch: SamplingBatch,
    token_ids: torch.Tensor | None = None,
    kernels: SamplingKernels | None = None,
) -> Launched:
    """Queue the sampling of each row's next token; `logits` `(rows, vocabulary)` are not changed.

    `token_ids` are what `plain_tokens` returns for all rows, greedy where they are not plain, if
    it has been launched. Nothing here waits for the device; a test forbids all operations that
    would.
    """
    assert logits.shape == (batch.num_rows, batch.vocabulary_size), "one row for each sequence"
    maxima, provisional = None, None
    if token_ids is None:
        maxima = logits.max(dim=-1)  # it propagates NaN
        token_ids = _unscored_tokens(logits, maxima, batch)
    arrays = SamplingArrays(*to_device(batch.arrays, logits.device))
    if batch.num_scores:
        scores = edited_scores(logits, arrays)
        if batch.is_edited or maxima is None:
            best, likeliest = scores.max(dim=-1)
        else:
            best, likeliest = (each.index_select(0, arrays.order) for each in maxima)
            best = best.float()
        step = _Step(arrays, kernels)
        sampled, provisional = _sample_scores(scores, (best, likeliest), batch, step)
        sampled = sampled.where(is_valid(best), NO_TOKEN)
        if batch.is_edited:  # which may hide that the logits were invalid
            has_token = token_ids.index_select(0, arrays.order) != NO_TOKEN
            sampled = sampled.where(has_token, NO_TOKEN)
        token_ids = token_ids.index_copy(0, arrays.order, sampled)
    logprobs = _logprobs(logits, token_ids, batch, arrays) if batch.num_logprobs else None
    scored = _scored(logits, arrays) if batch.num_scored else None
    return Launched.create(token_ids, batch, provisional, logprobs, scored)


def _unscored_tokens(
    logits: torch.Tensor, maxima: tuple[torch.Tensor, torch.Tensor], batch: SamplingBatch
) -> torch.Tensor:
    """Return the tokens of argmax and plain rows, and the likeliest one of all others."""
    best, token_ids = maxima
    num_plain = batch.sizes[Group.PLAIN]
    if num_plain:
        plain_rows, *plain = to_device([batch.plain_rows, *batch.plain], logits.device)
        if num_plain == batch.num_rows:
            token_ids = drawn_tokens(logits, best, PlainRows(*plain))
        else:
            own = logits.index_select(0, plain_rows), best.index_select(0, plain_rows)
            drawn = drawn_tokens(*own, PlainRows(*plain))
            token_ids = token_ids.index_copy(0, plain_rows, drawn)
    return token_ids.where(is_valid(best), NO_TOKEN)


def _logprobs(
    logits: torch.Tensor,
    token_ids: torch.Tensor,
    batch: SamplingBatch,
    arrays: SamplingArrays[torch.Tensor],
) -> Logprobs:
    if len(batch.num_logprobs) < batch.num_rows:
        logits = logits.index_select(0, arrays.logprob_rows)
        token_ids = token_ids.index_select(0, arrays.logprob_rows)
    return Logprobs.create(logits, token_ids)


def _scored(logits: torch.Tensor, arrays: SamplingArrays[torch.Tensor]) -> torch.Tensor:
    """Return the log-probabilities of the given tokens, float32 `(scored places,)`."""
    rows = logits.index_select(0, arrays.scored_rows).float()
    return rows.log_softmax(-1).take(arrays.scored_places)


def _sample_scores(
    scores: torch.Tensor,
    maxima: tuple[torch.Tensor, torch.Tensor],
    batch: SamplingBatch,
    step: "_Step",
) -> tuple[torch.Tensor, ProvisionalRows | None]:
    """Return token ids `(scores,)`; `scores` are overwritten, `maxima` are the best with their ids.

    The token of a row whose best score is not finite has no meaning.
    """
    best, likeliest = maxima
    if not batch.num_random:
        return likeliest, None
    num_greedy = batch.sizes[Group.GREEDY]
    random = scores[num_greedy:]
    parts, provisional = _sample_random(random, best[num_greedy:], batch, step)
    return torch.cat([likeliest[:num_greedy], *parts]), provisional


def _sample_random(
    scores: torch.Tensor, best: torch.Tensor, batch: SamplingBatch, step: "_Step"
) -> tuple[list[torch.Tensor], ProvisionalRows | None]:
    """Return the token ids of the random rows, group by group."""
    num_sorted, num_wide, num_unsorted = batch.sizes[Group.SORTED :]
    num_ranked = num_sorted + num_wide
    parts, provisional = [], None
    if num_ranked:
        ranked = step.ranked_rows(scores[:num_ranked], best[:num_ranked])
    if num_sorted:
        rows = ranked.select(slice(num_sorted))
        token_ids, is_whole = step.pick(rows.candidates(MAX_CANDIDATES), rows)
        parts.append(token_ids)
        if len(batch.provisional_rows):
            provisional = ProvisionalRows(rows, is_whole)
    if num_wide:
        wide = ranked.select(slice(num_sorted, num_ranked))
        parts.append(picked(wide.candidates(batch.vocabulary_size), wide)[0])
    if num_unsorted:
        parts.append(step.unsorted_tokens(scores[num_ranked:], best[num_ranked:]))
    return parts, provisional


@dataclass(frozen=True, slots=True)
class _Step:
    """What the random rows of a step are sampled by."""

    arrays: SamplingArrays[torch.Tensor]
    kernels: SamplingKernels | None

    @property
    def pick(self) -> Picker:
        return picked if self.kernels is None else self.kernels.pick

    def ranked_rows(self, scores: torch.Tensor, best: torch.Tensor) -> RankedRows:
        """Return the first random rows, which are as many; `scores` are overwritten."""
        arrays, at = self.arrays, slice(len(scores))
        # Relative to the row's best: near 0, where float32 is finest, at any temperature.
        relative = scores.sub_(best.unsqueeze(1)).div_(arrays.temperature[at])
        return RankedRows(relative, arrays.keys[at], arrays.floor[at], arrays.top_k, arrays.top_p)

    def unsorted_tokens(self, scores: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
        """Return the tokens of the last random rows, which are as many."""
        arrays, at = self.arrays, slice(-len(scores), None)
        columns = (arrays.keys, arrays.temperature, arrays.floor)
        rows = PlainRows(*[column[at].squeeze(1) for column in columns])
        if self.kernels is not None:
            return self.kernels.sample_plain(scores, rows)
        return drawn_tokens(scores, best, rows)
