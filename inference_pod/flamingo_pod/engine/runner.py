"""A step's plan → the tokens it chooses. Torch; no decision of policy is made here."""

import time
from collections import abc
from dataclasses import dataclass, field
from typing import Any

import torch

from flamingo_common.errors import BadRequest
from flamingo_pod.engine import kv, sampler
from flamingo_pod.engine.audio import ClipAudio
from flamingo_pod.engine.encoder import AudioEncoder
from flamingo_pod.engine.forward import Forward
from flamingo_pod.engine.grammar import Grammar
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.engine.scheduler import Chunk, StepPlan, WindowJob
from flamingo_pod.engine.sequence import Prefix, Sequence
from flamingo_pod.model.checkpoint import Checkpoint

Outcome = sampler.SampledToken | sampler.InvalidLogits | BadRequest
"""A sequence's next token, or why there is none; `BadRequest` is its grammar's word."""


@dataclass(slots=True)
class SequenceInputs:
    """What the runner must know of a sequence, beside what the scheduler knows."""

    audio: ClipAudio | None
    seed: int
    prompt_set: abc.Set[int]
    grammar: Grammar | None = None
    """Where the answer stands in it: what was chosen is accepted by who commits it."""


@dataclass(slots=True)
class ModelRunner:
    """The model, its KV, and the rows of audio that prompts are waiting for."""

    checkpoint: Checkpoint
    pool: kv.KvPool
    forward: Forward
    encoder: AudioEncoder
    profile: EngineProfile
    _rows: dict[Prefix, list[torch.Tensor]] = field(default_factory=dict)

    @torch.inference_mode()
    def run(
        self, plan: StepPlan, asked: abc.Mapping[Sequence, SequenceInputs]
    ) -> dict[Sequence, Outcome]:
        """Return the choice of each chunk that chooses; all KV of the plan is then written."""
        self.pool.copy(plan.copies)
        if plan.windows:
            started_s = time.monotonic()
            self._hear(plan.windows, asked)
            self.profile.hear_s += time.monotonic() - started_s
        if not plan.chunks:
            return {}
        started_s = time.monotonic()
        hidden = self.forward(
            torch.cat([self._embeds(chunk) for chunk in plan.chunks]),
            self._positions(plan.chunks),
            kv.layout(plan.chunks),
        )
        computed_s = time.monotonic()
        choices = self._choose(plan.chunks, hidden, asked)
        self._account(plan, computed_s - started_s, time.monotonic() - computed_s)
        return choices

    def forget(self, prefix: Prefix) -> None:
        """Drop the rows of a prefix that is computed, or that nobody wants any more."""
        self._rows.pop(prefix, None)

    def _hear(
        self, jobs: abc.Sequence[WindowJob], asked: abc.Mapping[Sequence, SequenceInputs]
    ) -> None:
        placed = []
        for job in jobs:
            audio = asked[job.sequence].audio
            assert audio is not None  # a prefix with windows comes with its clip
            placed.append((audio.windows[job.index], job.index))
        for job, rows in zip(jobs, self.encoder.heard(placed), strict=True):
            kept = self._rows.setdefault(job.prefix, [])
            if len(kept) == job.index:
                kept.append(rows)

    def _embeds(self, chunk: Chunk) -> torch.Tensor:
        """Return a chunk's embeddings, audio in its slots."""
        model: Any = self.checkpoint.model
        ids = torch.tensor(chunk.sequence.ids(chunk.start, chunk.stop), device=model.device)
        embeds: torch.Tensor = model.get_input_embeddings()(ids)
        slots = ids == model.config.audio_token_id
        prefix = chunk.sequence.prefix
        if prefix is None or prefix.is_computed or not bool(slots.any()):
            return embeds
        first = max(0, chunk.start - prefix.audio_start)
        heard = _between(self._rows[prefix], first, first + int(slots.sum()))
        embeds[slots] = heard.to(embeds)
        return embeds

    def _positions(self, chunks: abc.Iterable[Chunk]) -> torch.Tensor:
        device = self.checkpoint.model.device
        return torch.cat([torch.arange(c.start, c.stop, device=device) for c in chunks])

    def _choose(
        self,
        chunks: abc.Sequence[Chunk],
        hidden: torch.Tensor,
        asked: abc.Mapping[Sequence, SequenceInputs],
    ) -> dict[Sequence, Outcome]:
        outcomes: dict[Sequence, Outcome] = {}
        rows: dict[Sequence, sampler.SamplingRow] = {}
        ends = _ends(chunks)
        for sequence in ends:
            try:
                rows[sequence] = _row(sequence, asked[sequence])
            except BadRequest as error:
                outcomes[sequence] = error
        if rows:
            logits = self.checkpoint.model.lm_head(hidden[[ends[sequence] for sequence in rows]])
            outcomes |= zip(rows, sampler.sample(logits, list(rows.values())), strict=True)
        return outcomes

    def _account(self, plan: StepPlan, forward_s: float, choose_s: float) -> None:
        profile = self.profile
        num_rows = plan.num_prefilled + plan.num_decoding
        share = plan.num_prefilled / num_rows
        profile.prefill_s += forward_s * share
        profile.decode_s += forward_s * (1 - share)
        profile.choose_s += choose_s
        profile.num_prefilled += plan.num_prefilled
        profile.num_decoded += plan.num_decoding


def _ends(chunks: abc.Iterable[Chunk]) -> dict[Sequence, int]:
    """Return of each chunk that chooses the row of its last token."""
    ends, at = {}, 0
    for chunk in chunks:
        at += chunk.num_tokens
        if chunk.chooses:
            ends[chunk.sequence] = at - 1
    return ends


def _row(sequence: Sequence, asked: SequenceInputs) -> sampler.SamplingRow:
    """Return what the sampler needs.

    Raises:
        BadRequest: the grammar has grown over its limits.
    """
    allowed = asked.grammar.mask() if asked.grammar else None
    return sampler.SamplingRow(
        sequence.params, asked.seed, asked.prompt_set, sequence.output_ids, allowed
    )


def _between(windows: abc.Iterable[torch.Tensor], start: int, stop: int) -> torch.Tensor:
    """Return rows `[start, stop)` of the windows laid end to end."""
    parts, at = [], 0
    for rows in windows:
        here = rows[max(0, start - at) : max(0, stop - at)]
        if len(here):
            parts.append(here)
        at += len(rows)
    return torch.cat(parts)
