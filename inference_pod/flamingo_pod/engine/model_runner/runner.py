"""The model runner: computes the scheduler's plan for a step, and samples the next tokens.

It makes no decisions of its own.
"""

import functools
from collections import abc
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flamingo_common.errors import BadRequest
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.device import transfer
from flamingo_pod.engine.device.stage_clock import StageClock
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.encoding.encoder import AudioEncoder
from flamingo_pod.engine.model_runner import batch as batches
from flamingo_pod.engine.model_runner.batch import AudioRows, Batch
from flamingo_pod.engine.model_runner.device_batch import DeviceBatch, to_device
from flamingo_pod.engine.model_runner.forward import Forward
from flamingo_pod.engine.model_runner.graphs import Decoded, DecodeGraphs
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.engine.sampling.batch import PlainRows, SamplingBatch, SamplingInput
from flamingo_pod.engine.sampling.launch import SamplingKernels, launch
from flamingo_pod.engine.sampling.launched import Launched
from flamingo_pod.engine.sampling.results import SamplingResult
from flamingo_pod.engine.scheduling.sequence import Prefix, Sequence
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan, WindowJob
from flamingo_pod.engine.structured_output.constraint import Constraint
from flamingo_pod.model.checkpoint import Checkpoint

SampleResult = SamplingResult | BadRequest
"""A sequence's next token, or why there is none; `BadRequest` is its grammar's error."""


@dataclass(slots=True)
class SequenceInputs:
    """What the runner needs of a sequence beyond what the scheduler has."""

    audio: ClipAudio | None
    sampling: SamplingInput
    constraint: Constraint | None = None
    """The state of its grammar and its reasoning; the core advances it with each committed
    token."""


@dataclass(frozen=True, slots=True)
class LaunchedStep:
    """A step whose operations are queued on the device."""

    results: abc.Mapping[Sequence, SampleResult]
    """Of sequences whose grammar failed, so that nothing was sampled."""
    sampled: abc.Sequence[Sequence]
    """One for each row of `tokens`."""
    tokens: Launched | None
    """None if nothing is sampled."""

    @torch.inference_mode()
    def read(self) -> dict[Sequence, SampleResult]:
        """Wait for the step, and return the result for each chunk that is sampled."""
        tokens = [] if self.tokens is None else self.tokens.read()
        return {**self.results, **dict(zip(self.sampled, tokens, strict=True))}


@dataclass(slots=True)
class ModelRunner:
    """The model, the KV pool, and the audio embeddings that unfinished prefixes need."""

    checkpoint: Checkpoint
    pool: KvPool
    forward: Forward
    encoder: AudioEncoder
    profile: EngineProfile
    clock: StageClock
    sampling_kernels: SamplingKernels | None = None
    """Without them `launch` samples as is best on a CPU."""
    graphs: DecodeGraphs | None = None
    """The recorded decoding steps; without them each step is launched kernel by kernel."""
    _audio_embeds: dict[Prefix, list[torch.Tensor]] = field(default_factory=dict)
    """By window, `(num_tokens, width)` each."""

    def run(
        self, plan: StepPlan, inputs: abc.Mapping[Sequence, SequenceInputs]
    ) -> dict[Sequence, SampleResult]:
        """Compute a step; return the result for each chunk that is sampled.

        On return the KV of all chunks is in the pool.
        """
        return self.read(self.launch(plan, inputs))

    def read(self, step: LaunchedStep) -> dict[Sequence, SampleResult]:
        """Wait for a step that was launched; return the result for each chunk that is sampled."""
        results = step.read()
        self.clock.settle()
        return results

    @torch.inference_mode()
    def launch(
        self,
        plan: StepPlan,
        inputs: abc.Mapping[Sequence, SequenceInputs],
        before: LaunchedStep | None = None,
    ) -> LaunchedStep:
        """Queue a step. If it only decodes, nothing waits for the device.

        `before` is the step that samples its tokens, if these have not been read.
        """
        self.pool.copy(plan.copies)
        if plan.windows:
            with self.clock.stage(self.profile.add_windows):
                self._encode_windows(plan.windows, inputs)
        if not plan.chunks:
            return LaunchedStep({}, [], None)
        unread = None if before is None else _unread_tokens(plan.chunks, before)
        with self.clock.stage(self.profile.add_sample):
            results, rows = _sampling_inputs(plan.chunks, inputs)
            sampled = _Sampled.create(rows, self._vocabulary_size)
        num_rows = {"num_prefilled": plan.num_prefilled, "num_decoded": plan.num_decoding}
        with self.clock.stage(functools.partial(self.profile.add_forward, **num_rows)):
            logits, token_ids = self._decoded(plan.chunks, unread, sampled)
        with self.clock.stage(self.profile.add_sample):
            tokens = self._sample(logits, token_ids, sampled) if rows else None
        sequences = [chunk.sequence for chunk in plan.chunks if chunk.is_sampled]
        return LaunchedStep(results, [sequences[at] for at in rows], tokens)

    def drop_unused_embeds(self) -> None:
        """Free the audio embeddings of prefixes that are computed, or have no memory any more.

        A sequence that is preempted loses its prefix, and may never come back.
        """
        kept = {
            prefix: windows
            for prefix, windows in self._audio_embeds.items()
            if prefix.extent is not None and not prefix.is_computed
        }
        self._audio_embeds = kept

    def _encode_windows(
        self, jobs: abc.Sequence[WindowJob], inputs: abc.Mapping[Sequence, SequenceInputs]
    ) -> None:
        placed = []
        for job in jobs:
            audio = inputs[job.sequence].audio
            assert audio is not None  # a prefix with windows comes with its clip
            placed.append(audio.windows[job.index])
        for job, embeds in zip(jobs, self.encoder.project(placed), strict=True):
            windows = self._audio_embeds.setdefault(job.prefix, [])
            if len(windows) == job.index:
                windows.append(embeds)

    @torch.inference_mode()
    def decode(self, batch: DeviceBatch, plain: PlainRows[torch.Tensor]) -> Decoded:
        """Compute a batch whose rows are one token each, and are sampled as `plain` says."""
        assert self.sampling_kernels is not None  # only recorded steps are computed by this
        model: Any = self.checkpoint.model
        embeds = model.get_input_embeddings()(batch.token_ids)
        logits = model.lm_head(self.forward(embeds, batch))
        return Decoded(logits, self.sampling_kernels.sample_plain(logits, plain))

    def _decoded(
        self, chunks: abc.Sequence[Chunk], unread: torch.Tensor | None, sampled: "_Sampled"
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the logits of each sampled chunk, and its token if it is known already.

        `unread` are the tokens of all rows.
        """
        batch = batches.build(chunks)
        if self.sampling_kernels is None or not len(batch.sampled_rows):
            return self._logits(chunks, batch, unread), None
        plain = sampled.plain_among(len(batch.sampled_rows))
        recorded = None if self.graphs is None else self.graphs.decode(batch, plain, unread)
        if recorded is not None:
            return recorded
        logits = self._logits(chunks, batch, unread)
        on_device = PlainRows(*transfer.to_device(plain, logits.device))
        return logits, self.sampling_kernels.sample_plain(logits, on_device)

    def _sample(
        self, logits: torch.Tensor, token_ids: torch.Tensor | None, sampled: "_Sampled"
    ) -> Launched:
        """Queue the sampling of the rows, whose outputs are among those of all chunks."""
        if len(sampled.rows) < len(logits):
            (at,) = transfer.to_device([sampled.rows], logits.device)
            logits = logits.index_select(0, at)
            token_ids = None if token_ids is None else token_ids.index_select(0, at)
        return launch(logits, sampled.batch, token_ids, self.sampling_kernels)

    def _logits(
        self, chunks: abc.Sequence[Chunk], batch: Batch, unread: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the logits `(sampled chunks, vocabulary)`."""
        model: Any = self.checkpoint.model
        on_device = to_device(batch, model.device)
        if unread is not None:
            on_device = replace(on_device, token_ids=unread)
        hidden = self.forward(self._embed(chunks, on_device), on_device)
        return model.lm_head(hidden.index_select(0, on_device.sampled_rows))  # type: ignore[no-any-return]

    @property
    def _vocabulary_size(self) -> int:
        model: Any = self.checkpoint.model
        return len(model.lm_head.weight)

    def _embed(self, chunks: abc.Sequence[Chunk], batch: DeviceBatch) -> torch.Tensor:
        """Return the rows' input embeddings `(rows, width)`, audio in its `<sound>` slots."""
        model: Any = self.checkpoint.model
        embeds: torch.Tensor = model.get_input_embeddings()(batch.token_ids)
        for chunk, first_row in zip(chunks, batch.host.row_starts.tolist(), strict=False):
            audio = batches.audio_rows(chunk, first_row)
            if audio is not None:
                rows = embeds[audio.row : audio.row + audio.num]
                rows.copy_(self._audio(chunk, audio))
        return embeds

    def _audio(self, chunk: Chunk, audio: AudioRows) -> torch.Tensor:
        assert chunk.sequence.prefix is not None  # only a prefix has audio
        windows = self._audio_embeds[chunk.sequence.prefix]
        return _rows_between(windows, audio.first, audio.first + audio.num)


def _sampling_inputs(
    chunks: abc.Iterable[Chunk], inputs: abc.Mapping[Sequence, SequenceInputs]
) -> tuple[dict[Sequence, SampleResult], dict[int, SamplingInput]]:
    """Return the errors of grammars, and the inputs of the other rows by their number."""
    errors: dict[Sequence, SampleResult] = {}
    rows: dict[int, SamplingInput] = {}
    for number, chunk in enumerate(chunk for chunk in chunks if chunk.is_sampled):
        try:
            rows[number] = _sampling_input(chunk, inputs[chunk.sequence])
        except BadRequest as error:
            errors[chunk.sequence] = error
    return errors, rows


def _unread_tokens(chunks: abc.Iterable[Chunk], before: LaunchedStep) -> torch.Tensor:
    """Return the tokens of chunks that are one token each, int32 `(rows,)`, on the device."""
    assert before.tokens is not None  # it sampled these tokens
    places = {sequence: place for place, sequence in enumerate(before.sampled)}
    rows = np.array([places[chunk.sequence] for chunk in chunks], np.int64)
    (at,) = transfer.to_device([rows], before.tokens.token_ids.device)
    # An invalid row has -1: its sequence fails when it is read, and its row here is void.
    return before.tokens.token_ids.index_select(0, at).clamp_min(0).int()


@dataclass(frozen=True, slots=True)
class _Sampled:
    """The rows that are sampled: all sampled chunks but those whose grammar failed."""

    rows: npt.NDArray[np.int64]
    """Their numbers among the sampled chunks."""
    batch: SamplingBatch

    @classmethod
    def create(cls, inputs: abc.Mapping[int, SamplingInput], vocabulary_size: int) -> "_Sampled":
        batch = SamplingBatch.create([*inputs.values()], vocabulary_size)
        return cls(np.array([*inputs], np.int64), batch)

    def plain_among(self, num_chunks: int) -> PlainRows[Any]:
        """Return the plain rows among all sampled chunks."""
        return self.batch.plain_among(self.rows, num_chunks)


def _sampling_input(chunk: Chunk, inputs: SequenceInputs) -> SamplingInput:
    """Return how the token behind a chunk is sampled.

    Raises:
        BadRequest: the grammar has exceeded its limits.
    """
    row = inputs.sampling
    row.allowed = inputs.constraint.mask() if inputs.constraint else None
    # Nothing is masked any more where a token is unread.
    row.num_unread, row.masked_ids = (1, ()) if chunk.is_unread else (0, chunk.sequence.masked_ids)
    return row


def _rows_between(windows: abc.Iterable[torch.Tensor], start: int, stop: int) -> torch.Tensor:
    """Return rows `[start, stop)` of the concatenated windows."""
    parts, at = [], 0
    for rows in windows:
        part = rows[max(0, start - at) : max(0, stop - at)]
        if len(part):
            parts.append(part)
        at += len(rows)
    return torch.cat(parts)
