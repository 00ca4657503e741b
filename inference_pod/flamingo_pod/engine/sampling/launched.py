"""Sampled tokens on their way from the device, and what is completed when they are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from flamingo_pod.engine.device.transfer import HostCopy
from flamingo_pod.engine.sampling.batch import Array, SamplingBatch
from flamingo_pod.engine.sampling.filters import RankedRows, picked
from flamingo_pod.engine.sampling.logprobs import Logprobs, TopLogprobs, top_logprobs
from flamingo_pod.engine.sampling.results import (
    NO_TOKEN,
    InvalidLogits,
    SampledToken,
    SamplingResult,
)


@dataclass(frozen=True, slots=True)
class ProvisionalRows:
    """The `provisional_rows` of a batch, sampled among their best scores only."""

    rows: RankedRows
    is_whole: torch.Tensor
    """Whether that was enough, bool `(rows,)`."""


@dataclass(frozen=True, slots=True)
class Launched:
    """The next tokens of a step's rows, on the device and on their way to the host."""

    token_ids: torch.Tensor
    """int64 `(rows,)` on the device; `NO_TOKEN` for invalid rows: clamp before use as an index."""
    batch: SamplingBatch
    provisional: ProvisionalRows | None
    logprobs: Logprobs | None
    """Of the rows that include them."""
    copy: HostCopy
    """All of this that `read` needs from the device."""

    @classmethod
    def create(
        cls,
        token_ids: torch.Tensor,
        batch: SamplingBatch,
        provisional: ProvisionalRows | None,
        logprobs: Logprobs | None,
        scored: torch.Tensor | None = None,
    ) -> "Launched":
        """Queue the copy of the results to the host.

        `scored` has the log-probabilities of the batch's `scored_places`.
        """
        tensors = [token_ids]
        if provisional is not None:
            tensors.append(provisional.is_whole)
        if logprobs is not None:
            tensors += [logprobs.own, logprobs.top, logprobs.top_ids]
        if scored is not None:
            tensors.append(scored)
        return cls(token_ids, batch, provisional, logprobs, HostCopy(tensors))

    def read(self) -> list[SamplingResult]:
        """Wait for the results, and return each row's. Nothing else here waits for the device.

        Invalid logits in one row do not affect the others.
        """
        token_ids, *others = self.copy.wait()
        results: list[SamplingResult] = [
            InvalidLogits() if token_id == NO_TOKEN else SampledToken(token_id)
            for token_id in token_ids.tolist()
        ]
        if self.provisional is not None:
            _correct(results, self.batch, self.provisional.rows, others.pop(0))
        if self.logprobs is not None:
            tops = top_logprobs(others[1], others[2], self.batch.num_logprobs)
            _add_logprobs(results, self.batch, self.logprobs.table, others[0], tops)
        if self.batch.num_scored:
            _add_token_logprobs(results, self.batch, others[-1])
        return results


def _correct(
    results: list[SamplingResult], batch: SamplingBatch, ranked: RankedRows, is_whole: Array
) -> None:
    """Sample the valid rows that are not whole again, among all scores."""
    rows = batch.provisional_rows.tolist()
    redone = [at for at, row in enumerate(rows) if not is_whole[at] and _is_valid(results[row])]
    if not redone:
        return
    again = ranked.select(redone)
    token_ids, _ = picked(again.candidates(batch.vocabulary_size), again)
    for at, token_id in zip(redone, token_ids.tolist(), strict=True):
        if results[rows[at]] != SampledToken(token_id):
            results[rows[at]] = SampledToken(token_id, is_corrected=True)


def _is_valid(result: SamplingResult) -> bool:
    return isinstance(result, SampledToken)


def _add_logprobs(
    results: list[SamplingResult],
    batch: SamplingBatch,
    table: torch.Tensor,
    own: Array,
    tops: Sequence[TopLogprobs],
) -> None:
    """Add the log-probabilities to the valid rows that include them."""
    rows = batch.arrays.logprob_rows.tolist()
    values = own[:, 0].tolist()
    for at, row in enumerate(rows):
        token = results[row]
        if isinstance(token, SampledToken):
            logprob = float(table[at, token.token_id]) if token.is_corrected else values[at]
            results[row] = replace(token, logprob=logprob, top_logprobs=tops[at])


def _add_token_logprobs(results: list[SamplingResult], batch: SamplingBatch, values: Array) -> None:
    """Add the log-probabilities of the given tokens to the valid rows that include them."""
    of_rows = np.split(values, np.cumsum(batch.num_scored)[:-1])
    for row, own in zip(batch.arrays.scored_rows.tolist(), of_rows, strict=True):
        token = results[row]
        if isinstance(token, SampledToken):
            results[row] = replace(token, token_logprobs=tuple(own.tolist()))
