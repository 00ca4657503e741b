"""The engine core: schedule a step, run it, commit it. One thread calls everything here.

How it works: `submit` makes a sequence of a prompt and hands it to the scheduler. Each `step`
gets a plan from the scheduler, has the model runner compute it, adds its time to the stats of the
requests in it, commits the sampled tokens to the scheduler, and emits each as a `TokenOutput` to
the callback that came with its prompt. A grammar is advanced with each token and may finish its
sequence.

A step that raises is isolated: its windows and chunks are run again one by one, which writes the
same KV once more, and only the sequences that fail alone are failed (`SequenceFailed`); a prefix
they shared is invalidated. If none succeeds in `MAX_FAILED_STEPS` steps in a row, the failure is
the engine's (`EngineBroken`), and the pod is replaced. Logits that are not finite fail only the
sequence they belong to.

`engine.py` runs this core on a thread and connects it to asyncio, as vLLM's `AsyncLLM` does with
its `EngineCore`.
"""

import hashlib
import itertools
import math
import time
from collections import abc
from dataclasses import dataclass, field, replace

import torch

from flamingo_common.errors import BadRequest
from flamingo_common.wire.responses import FinishReason
from flamingo_pod.engine import forward, sampler, step_stats
from flamingo_pod.engine.audio import AudioWindow, ClipAudio
from flamingo_pod.engine.clips import ClipIndex
from flamingo_pod.engine.encoder import AudioEncoder
from flamingo_pod.engine.grammar import Grammar
from flamingo_pod.engine.kv import KvPool
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.options import EngineOptions, ModelImpl
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.engine.runner import ModelRunner, SampleResult, SequenceInputs
from flamingo_pod.engine.scheduler import Scheduler, SchedulerLimits, StepPlan, WindowJob
from flamingo_pod.engine.sequence import (
    Prefix,
    SamplingParams,
    Sequence,
    SequenceState,
    TokenOutput,
)
from flamingo_pod.engine.step_stats import StepTimes
from flamingo_pod.model.checkpoint import Checkpoint

FORWARDS: abc.Mapping[ModelImpl, abc.Callable[..., forward.Forward]] = {
    "fused": forward.FusedForward,
    "transformers": forward.TransformersForward,
}
MAX_FAILED_STEPS = 3
"""After so many steps in a row in which nothing succeeded, the engine is broken."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with one `<sound>` slot for each of the audio's tokens."""

    token_ids: abc.Sequence[int]
    audio: ClipAudio | None = None
    salt: bytes = b""
    """Sequences share KV only within one salt."""
    deadline_s: float = math.inf
    """Of the request, on the monotonic clock; a sequence near it has priority."""
    grammar: Grammar | None = None
    """Constrains the output; at its start, and used by no other sequence."""
    stats: RequestStats = field(default_factory=RequestStats)
    """Its request's, which the engine updates."""


class SequenceFailed(Exception):
    """The model failed on this sequence; others continue."""


class EngineBroken(Exception):
    """The engine fails on every sequence."""


Emit = abc.Callable[[TokenOutput | Exception], None]
"""Receives the outputs of a sequence, and the error that ended it, if one did."""


@dataclass(frozen=True, slots=True)
class _ActiveSequence:
    """What the core keeps of a sequence that is not finished."""

    inputs: SequenceInputs
    emit: Emit


@dataclass(slots=True)
class EngineCore:
    """The engine without its thread."""

    checkpoint: Checkpoint
    options: EngineOptions
    scheduler: Scheduler = field(init=False)
    runner: ModelRunner = field(init=False)
    profile: EngineProfile = field(default_factory=EngineProfile)
    clips: ClipIndex = field(default_factory=ClipIndex)
    _active: dict[Sequence, _ActiveSequence] = field(default_factory=dict)
    _numbers: abc.Iterator[int] = field(default_factory=itertools.count)
    _num_failed_steps: int = 0

    def __post_init__(self) -> None:
        model, options = self.checkpoint.model, self.options
        limits = SchedulerLimits(
            kv_cache_tokens=options.kv_cache_tokens, max_num_seqs=options.max_num_seqs
        )
        self.scheduler = Scheduler(limits)
        pool = KvPool(model.config.text_config, limits.kv_cache_tokens, model.lm_head.weight)
        forward_pass = FORWARDS[options.model_impl](model, pool)
        encoder = AudioEncoder(
            self.checkpoint, self.profile, max_cache_bytes=options.encoder_cache_bytes
        )
        self.runner = ModelRunner(self.checkpoint, pool, forward_pass, encoder, self.profile)
        on_change = self.clips.on_cache_change
        self.scheduler.kv_cache.on_change = encoder.states.on_change = on_change

    def has_work(self) -> bool:
        """Whether any sequence is not finished."""
        return bool(self._active)

    @property
    def num_running(self) -> int:
        """Running sequences."""
        return len(self.scheduler.running)

    @property
    def num_kv_tokens_used(self) -> int:
        """Token slots of the KV pool that running sequences use."""
        return self.scheduler.kv_cache.num_tokens_used

    def cache_lookups(self) -> dict[str, tuple[int, int]]:
        """Return the number of lookups and of hits by cache: windows, or tokens for `kv`."""
        encoder, profile = self.runner.encoder, self.profile
        caches = {"states": encoder.states, "embeddings": encoder.embeddings}
        counts = {
            name: (cache.num_hits + cache.num_misses, cache.num_hits)
            for name, cache in caches.items()
        }
        return counts | {"kv": (profile.num_prompt_tokens, profile.num_cached_tokens)}

    def register_embedding(self, windows: abc.Sequence[AudioWindow], stats: RequestStats) -> None:
        """Set what an embedding request has left to encode, and register its clip's keys."""
        if stats.submitted_s is None:
            stats.submitted_s = time.monotonic()
            stats.num_windows_left = self._num_to_encode(windows)
        if stats.clip_name:
            self.clips.register(stats.clip_name, [window.key for window in windows], None)

    def embed(
        self,
        placed: abc.Sequence[tuple[AudioWindow, int]],
        stats: RequestStats,
        *,
        is_projected: bool,
    ) -> list[torch.Tensor]:
        """Return encoder states or embeddings of windows at their indices in a clip.

        `(num_tokens, width)` each, of the encoder's or the language model's width.
        """
        encoder, windows, started_s = self.runner.encoder, [w for w, _ in placed], time.monotonic()
        not_encoded = [window for window in windows if window.states is None]
        if is_projected:
            rows = encoder.project(placed)
        else:
            encoder.encode(windows)
            rows = [window.states for window in windows]
        stats.record_encoded_windows(sum(window.is_encoded for window in not_encoded))
        spent_s = time.monotonic() - started_s
        stats.compute_s += spent_s
        stats.encode_s += spent_s
        stats.encoded_s = started_s + spent_s
        stats.started_s = stats.started_s or started_s
        return rows

    def submit(self, prompt: Prompt, params: SamplingParams, seed: int, emit: Emit) -> Sequence:
        """Add a prompt; `step` calls `emit` with each of its outputs."""
        sequence = Sequence(
            number=next(self._numbers),
            prompt_ids=prompt.token_ids,
            params=params,
            arrived_s=time.monotonic(),
            own_prefix=self._prefix(prompt),
            salt=prompt.salt,
            stats=prompt.stats,
            deadline_s=prompt.deadline_s,
        )
        self._register(prompt, sequence)
        prompt_set = frozenset(prompt.token_ids)
        inputs = SequenceInputs(prompt.audio, seed, prompt_set, prompt.grammar)
        self._active[sequence] = _ActiveSequence(inputs, emit)
        self.scheduler.submit(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Remove a sequence; what it has computed stays cached. Idempotent."""
        prefix = sequence.prefix
        if self._active.pop(sequence, None) is not None:
            _expect_no_more_output(sequence)
        self.scheduler.finish(sequence, now_s=time.monotonic(), is_kept=True)
        self._drop_audio_embeds(prefix)

    def step(self, load: EngineLoad | None = None) -> None:
        """Compute one step, and update the costs in `load`.

        Raises:
            EngineBroken: nothing has succeeded in `MAX_FAILED_STEPS` steps in a row.
        """
        started_s = time.monotonic()
        plan = self.scheduler.schedule(started_s)
        if plan.is_empty:
            return
        windows_before_s = self.profile.windows_s
        results = self._run(plan)
        now_s = time.monotonic()
        windows_s = self.profile.windows_s - windows_before_s
        # Before any output is emitted: the receiver of the last one reads the stats.
        self.profile.num_steps += 1
        encoded = [job for job in plan.windows if self._was_encoded(job)]
        step_stats.record_step(plan, encoded, StepTimes(started_s, now_s - started_s, windows_s))
        self._commit(plan, results, now_s)
        self.scheduler.budget.observe(
            now_s - started_s, num_decoding=plan.num_decoding, num_prefilled=plan.num_prefilled
        )
        if load is not None:
            step_stats.update_costs(load, self.profile)

    def fail_all(self, error: Exception) -> None:
        """End every sequence with `error`."""
        for sequence in list(self._active):
            self._fail(sequence, error)

    def _register(self, prompt: Prompt, sequence: Sequence) -> None:
        """Take what is cached off the request's remaining work, and register its clip's keys."""
        stats, prefix = sequence.stats, sequence.own_prefix
        if stats.submitted_s is not None:
            return  # another choice of the request came first
        stats.submitted_s = sequence.arrived_s
        if prefix is None or prompt.audio is None:
            return
        windows = prompt.audio.windows
        if prefix.key in self.scheduler.kv_cache.prefixes:
            stats.num_windows_left = 0
            stats.num_prompt_tokens_left -= prefix.num_tokens
        else:
            stats.num_windows_left = self._num_to_encode(windows)
        if stats.clip_name:
            self.clips.register(stats.clip_name, [window.key for window in windows], prefix.key)

    def _num_to_encode(self, windows: abc.Sequence[AudioWindow]) -> int:
        cached = self.runner.encoder.states
        return sum(window.states is None and window.key not in cached for window in windows)

    def _was_encoded(self, job: WindowJob) -> bool:
        active = self._active.get(job.sequence)
        audio = active.inputs.audio if active else None
        return audio is not None and audio.windows[job.index].is_encoded

    def _prefix(self, prompt: Prompt) -> Prefix | None:
        if prompt.audio is None or not prompt.audio.windows:
            return None
        slot = self.checkpoint.model.config.audio_token_id
        start = list(prompt.token_ids).index(slot)
        stop = start + prompt.audio.num_tokens
        digest = hashlib.sha256(prompt.salt + b"\0")
        digest.update(torch.tensor(list(prompt.token_ids[:start])).numpy().tobytes())
        for window in prompt.audio.windows:
            digest.update(window.key)
        return Prefix(
            key=digest.digest(),
            num_tokens=stop,
            audio_start=start,
            window_tokens=[window.num_tokens for window in prompt.audio.windows],
        )

    def _inputs(self) -> dict[Sequence, SequenceInputs]:
        return {sequence: active.inputs for sequence, active in self._active.items()}

    def _run(self, plan: StepPlan) -> dict[Sequence, SampleResult]:
        try:
            results = self.runner.run(plan, self._inputs())
        except Exception as error:  # noqa: BLE001 - the sequences that cause it are found below
            return self._run_isolated(plan, error)
        self._num_failed_steps = 0
        return results

    def _run_isolated(self, plan: StepPlan, error: Exception) -> dict[Sequence, SampleResult]:
        """Run the parts of a failed step one by one; fail the sequences that fail alone."""
        results: dict[Sequence, SampleResult] = {}
        parts = [(job.sequence, StepPlan(windows=[job])) for job in plan.windows]
        parts += [(chunk.sequence, StepPlan(chunks=[chunk])) for chunk in plan.chunks]
        num_succeeded = 0
        for sequence, part in parts:
            try:
                results |= self.runner.run(part, self._inputs())
                num_succeeded += 1
            except Exception as alone:  # noqa: BLE001 - emitted to its own sequence
                self._fail(sequence, SequenceFailed(str(alone)))
        self._num_failed_steps = 0 if num_succeeded else self._num_failed_steps + 1
        if self._num_failed_steps >= MAX_FAILED_STEPS:
            raise EngineBroken from error
        return results

    def _commit(
        self, plan: StepPlan, results: abc.Mapping[Sequence, SampleResult], now_s: float
    ) -> None:
        self._fail_unsampled(results)
        # A sequence that failed is finished: its part of the plan must not be committed.
        kept = StepPlan(
            windows=[j for j in plan.windows if j.sequence.state is not SequenceState.FINISHED],
            chunks=[c for c in plan.chunks if c.sequence.state is not SequenceState.FINISHED],
        )
        sampled = {s: r for s, r in results.items() if isinstance(r, sampler.SampledToken)}
        prefixes = {s: s.prefix for s in self._active}
        eos = self.checkpoint.limits.eos_token_ids
        tokens = {s: token.token_id for s, token in sampled.items()}
        finished = self.scheduler.commit(kept, tokens, eos, now_s=now_s)
        for sequence, token in sampled.items():
            self._advance(sequence, token, is_finished=sequence in finished)
        for sequence in {chunk.sequence for chunk in kept.chunks}:
            self._drop_audio_embeds(prefixes.get(sequence))

    def _fail_unsampled(self, results: abc.Mapping[Sequence, SampleResult]) -> None:
        for sequence, result in results.items():
            if isinstance(result, sampler.InvalidLogits):
                self._fail(sequence, SequenceFailed("the model's logits are not finite"))
            elif isinstance(result, BadRequest):
                self._fail(sequence, result)

    def _advance(
        self, sequence: Sequence, token: sampler.SampledToken, *, is_finished: bool
    ) -> None:
        """Emit a committed token; a grammar may finish the sequence or fail it."""
        reason: FinishReason | None = "length" if is_finished else None
        if (grammar := self._active[sequence].inputs.grammar) is not None:
            try:
                grammar.accept(token.token_id)
            except (BadRequest, ValueError) as error:
                self._fail(sequence, error)
                return
            if grammar.is_done:
                self.scheduler.finish(sequence, now_s=time.monotonic(), is_kept=True)
                reason = "stop"
        self._emit(sequence, token, reason)

    def _emit(
        self, sequence: Sequence, token: sampler.SampledToken, reason: FinishReason | None
    ) -> None:
        active = self._active[sequence]
        if len(sequence.output_ids) == 1:
            self.profile.num_prompt_tokens += len(sequence.prompt_ids)
            self.profile.num_cached_tokens += sequence.num_cached_tokens
        output = _output(token, self.checkpoint.limits.eos_token_ids, reason)
        sequence.stats.record_token(time.monotonic(), is_text=output.token_id is not None)
        if output.finish_reason is not None:
            del self._active[sequence]
            _expect_no_more_output(sequence)
        active.emit(replace(output, num_cached_tokens=sequence.num_cached_tokens))

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        prefix = sequence.prefix
        if prefix is not None and isinstance(error, SequenceFailed):
            self.scheduler.kv_cache.invalidate(prefix)
        self.scheduler.finish(sequence, now_s=time.monotonic())
        active = self._active.pop(sequence, None)
        self._drop_audio_embeds(prefix)
        if active is not None:
            _expect_no_more_output(sequence)
            active.emit(error)

    def _drop_audio_embeds(self, prefix: Prefix | None) -> None:
        if prefix is not None and (prefix.is_computed or prefix.extent is None):
            self.runner.drop_audio_embeds(prefix)


def _expect_no_more_output(sequence: Sequence) -> None:
    num_unused = sequence.params.max_tokens - len(sequence.output_ids)
    sequence.stats.reduce_expected_output(num_unused)


def _output(
    token: sampler.SampledToken, eos: abc.Set[int], reason: FinishReason | None
) -> TokenOutput:
    if token.token_id in eos:
        return TokenOutput(None, "stop")
    return TokenOutput(token.token_id, reason, token.logprob, token.top_logprobs)
