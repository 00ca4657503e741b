"""The model runner: computes the scheduler's plan for a step, and samples the next tokens.

It makes no decisions of its own.
"""

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

SampleResult = sampler.SampledToken | sampler.InvalidLogits | BadRequest
"""A sequence's next token, or why there is none; `BadRequest` is its grammar's error."""


@dataclass(slots=True)
class SequenceInputs:
    """What the runner needs of a sequence beyond what the scheduler has."""

    audio: ClipAudio | None
    seed: int
    prompt_set: abc.Set[int]
    """The distinct token ids of the prompt, for the repetition penalty."""
    grammar: Grammar | None = None
    """The state of its grammar; the core advances it with each committed token."""


@dataclass(slots=True)
class ModelRunner:
    """The model, the KV pool, and the audio embeddings that unfinished prefixes need."""

    checkpoint: Checkpoint
    pool: kv.KvPool
    forward: Forward
    encoder: AudioEncoder
    profile: EngineProfile
    _audio_embeds: dict[Prefix, list[torch.Tensor]] = field(default_factory=dict)
    """By window, `(num_tokens, width)` each."""

    @torch.inference_mode()
    def run(
        self, plan: StepPlan, inputs: abc.Mapping[Sequence, SequenceInputs]
    ) -> dict[Sequence, SampleResult]:
        """Compute a step; return the result for each chunk that is sampled.

        On return the KV of all chunks is in the pool.
        """
        self.pool.copy(plan.copies)
        if plan.windows:
            started_s = time.monotonic()
            self._encode_windows(plan.windows, inputs)
            self.profile.windows_s += time.monotonic() - started_s
        if not plan.chunks:
            return {}
        started_s = time.monotonic()
        hidden = self.forward(
            torch.cat([self._embed(chunk) for chunk in plan.chunks]),
            self._positions(plan.chunks),
            kv.attention_layout(plan.chunks),
        )
        forward_done_s = time.monotonic()
        results = self._sample(plan.chunks, hidden, inputs)
        self._record_times(plan, forward_done_s - started_s, time.monotonic() - forward_done_s)
        return results

    def drop_audio_embeds(self, prefix: Prefix) -> None:
        """Free the audio embeddings of a prefix that is computed or no longer used."""
        self._audio_embeds.pop(prefix, None)

    def _encode_windows(
        self, jobs: abc.Sequence[WindowJob], inputs: abc.Mapping[Sequence, SequenceInputs]
    ) -> None:
        placed = []
        for job in jobs:
            audio = inputs[job.sequence].audio
            assert audio is not None  # a prefix with windows comes with its clip
            placed.append((audio.windows[job.index], job.index))
        for job, embeds in zip(jobs, self.encoder.project(placed), strict=True):
            windows = self._audio_embeds.setdefault(job.prefix, [])
            if len(windows) == job.index:
                windows.append(embeds)

    def _embed(self, chunk: Chunk) -> torch.Tensor:
        """Return a chunk's input embeddings `(tokens, width)`, audio in its `<sound>` slots."""
        model: Any = self.checkpoint.model
        ids = torch.tensor(chunk.sequence.ids(chunk.start, chunk.stop), device=model.device)
        embeds: torch.Tensor = model.get_input_embeddings()(ids)
        slots = ids == model.config.audio_token_id
        prefix = chunk.sequence.prefix
        if prefix is None or prefix.is_computed or not bool(slots.any()):
            return embeds
        first = max(0, chunk.start - prefix.audio_start)
        audio = _rows_between(self._audio_embeds[prefix], first, first + int(slots.sum()))
        embeds[slots] = audio.to(embeds)
        return embeds

    def _positions(self, chunks: abc.Iterable[Chunk]) -> torch.Tensor:
        device = self.checkpoint.model.device
        return torch.cat([torch.arange(c.start, c.stop, device=device) for c in chunks])

    def _sample(
        self,
        chunks: abc.Sequence[Chunk],
        hidden: torch.Tensor,
        inputs: abc.Mapping[Sequence, SequenceInputs],
    ) -> dict[Sequence, SampleResult]:
        results: dict[Sequence, SampleResult] = {}
        rows: dict[Sequence, sampler.SamplingRow] = {}
        last_rows = _last_rows(chunks)
        for sequence in last_rows:
            try:
                rows[sequence] = _sampling_row(sequence, inputs[sequence])
            except BadRequest as error:
                results[sequence] = error
        if rows:
            logits = self.checkpoint.model.lm_head(hidden[[last_rows[each] for each in rows]])
            results |= zip(rows, sampler.sample(logits, list(rows.values())), strict=True)
        return results

    def _record_times(self, plan: StepPlan, forward_s: float, sample_s: float) -> None:
        """Split a step's forward pass between prefill and decode by their rows."""
        profile = self.profile
        num_rows = plan.num_prefilled + plan.num_decoding
        share = plan.num_prefilled / num_rows
        profile.prefill_s += forward_s * share
        profile.decode_s += forward_s * (1 - share)
        profile.sample_s += sample_s
        profile.num_prefilled += plan.num_prefilled
        profile.num_decoded += plan.num_decoding


def _last_rows(chunks: abc.Iterable[Chunk]) -> dict[Sequence, int]:
    """Return the index of the last row of each chunk that is sampled."""
    last_rows, at = {}, 0
    for chunk in chunks:
        at += chunk.num_tokens
        if chunk.is_sampled:
            last_rows[chunk.sequence] = at - 1
    return last_rows


def _sampling_row(sequence: Sequence, inputs: SequenceInputs) -> sampler.SamplingRow:
    """Return what the sampler needs of a sequence.

    Raises:
        BadRequest: the grammar has exceeded its limits.
    """
    allowed = inputs.grammar.mask() if inputs.grammar else None
    return sampler.SamplingRow(
        sequence.params, inputs.seed, inputs.prompt_set, sequence.output_ids, allowed
    )


def _rows_between(windows: abc.Iterable[torch.Tensor], start: int, stop: int) -> torch.Tensor:
    """Return rows `[start, stop)` of the concatenated windows."""
    parts, at = [], 0
    for rows in windows:
        part = rows[max(0, start - at) : max(0, stop - at)]
        if len(part):
            parts.append(part)
        at += len(rows)
    return torch.cat(parts)
