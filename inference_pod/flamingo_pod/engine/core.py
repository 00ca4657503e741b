"""The engine core: schedule a step, run it, commit it. One thread calls everything here.

How it works: `submit` makes a sequence of a prompt and hands it to the scheduler. Each `step`
gets a plan from the scheduler, has the model runner compute it, adds its time to the stats of the
requests in it, commits the sampled tokens to the scheduler, and emits each as a `TokenOutput` to
the callback that came with its prompt. A grammar is advanced with each token and may finish its
sequence, and a budget of its reasoning may force the next tokens, as a call that the model begins
has to be one (`structured_output/sequence_constraint.py`).

A step that raises fails only the sequences that cause it (`step_faults.py`), and a prefix they
shared is invalidated. Logits that are not finite fail only the sequence they belong to.

`engine.py` runs this core on a thread and connects it to asyncio, as vLLM's `AsyncLLM` does with
its `EngineCore`.
"""

import functools
import itertools
import math
import time
from collections import abc
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from flamingo_common.errors import BadRequest
from flamingo_common.wire.responses import FinishReason
from flamingo_pod.engine.costs.load import EngineLoad
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.audio import AudioWindow, ClipAudio
from flamingo_pod.engine.encoding.clips import ClipIndex
from flamingo_pod.engine.encoding.prefix_naming import prefix_of
from flamingo_pod.engine.model_runner.backends import BackendChoice
from flamingo_pod.engine.model_runner.create_runner import choose_backend, create_runner
from flamingo_pod.engine.model_runner.runner import ModelRunner, SampleResult, SequenceInputs
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.sampling.batch import SamplingInput
from flamingo_pod.engine.sampling.results import InvalidLogits, SampledToken
from flamingo_pod.engine.sampling.state import SamplingState
from flamingo_pod.engine.scheduling.scheduler import Scheduler, SchedulerLimits
from flamingo_pod.engine.scheduling.sequence import (
    SamplingParams,
    Sequence,
    SequenceState,
    TokenOutput,
)
from flamingo_pod.engine.scheduling.step_plan import StepPlan, WindowJob
from flamingo_pod.engine.steps import step_stats
from flamingo_pod.engine.steps.step_faults import SequenceFailed, StepFaults
from flamingo_pod.engine.steps.step_pipeline import StepPipeline
from flamingo_pod.engine.steps.step_stats import StepTimes
from flamingo_pod.engine.structured_output import sequence_constraint
from flamingo_pod.engine.structured_output.call_constraint import CallRules
from flamingo_pod.engine.structured_output.constraint import AnswerGrammar, ReasoningRules
from flamingo_pod.model.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with one `<sound>` slot for each of the audio's tokens."""

    token_ids: NDArray[np.int32] | abc.Sequence[int]
    """`(tokens,)`; an array takes the event loop microseconds to check, not milliseconds."""
    audio: ClipAudio | None = None
    salt: bytes = b""
    """Sequences share KV only within one salt."""
    deadline_s: float = math.inf
    """Of the request, on the monotonic clock; a sequence near it has priority."""
    grammar: AnswerGrammar | None = None
    """Constrains the answer; at its start, and used by no other sequence."""
    reasoning: ReasoningRules | None = None
    """How the reasoning before the answer ends; None: the output is an answer from its start."""
    calls: CallRules | None = None
    """The calls that may follow the text of an answer without a grammar."""
    stats: RequestStats = field(default_factory=RequestStats)
    """Its request's, which the engine updates."""


Emit = abc.Callable[[TokenOutput | Exception], None]
"""Receives the outputs of a sequence, and the error that ended it, if one did."""


@dataclass(slots=True)
class EngineCore:
    """The engine without its thread."""

    checkpoint: Checkpoint
    options: EngineOptions
    scheduler: Scheduler = field(init=False)
    runner: ModelRunner = field(init=False)
    backend: BackendChoice = field(init=False)
    profile: EngineProfile = field(default_factory=EngineProfile)
    clips: ClipIndex = field(default_factory=ClipIndex)
    _inputs: dict[Sequence, SequenceInputs] = field(default_factory=dict)
    """Of all sequences that are not finished."""
    _emits: dict[Sequence, Emit] = field(default_factory=dict)
    """Of the same."""
    _numbers: abc.Iterator[int] = field(default_factory=itertools.count)
    _pipeline: StepPipeline = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        limits = SchedulerLimits(
            kv_cache_tokens=options.kv_cache_tokens, max_num_seqs=options.max_num_seqs
        )
        self.scheduler = Scheduler(limits)
        self.backend = choose_backend(self.checkpoint, options)
        self.runner = create_runner(self.checkpoint, options, self.backend, self.profile)
        encoder = self.runner.encoder
        faults = StepFaults(self.runner, self.scheduler, self._fail)
        self._pipeline = StepPipeline(faults, options.async_scheduling)
        on_change = self.clips.on_cache_change
        self.scheduler.kv_cache.on_change = encoder.states.on_change = on_change

    def has_work(self) -> bool:
        """Whether any sequence is not finished."""
        return bool(self._emits)

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

    def num_low_embeddings(self, *, are_any_live: bool) -> int:
        """Return how many windows of embeddings of low priority may be encoded before a step.

        `are_any_live` is whether other embeddings are requested, which the scheduler does not know.
        """
        self.scheduler.low_share.has_live_embeddings = are_any_live
        return self.scheduler.num_low_windows()

    def register_embedding(self, windows: abc.Sequence[AudioWindow], stats: RequestStats) -> None:
        """Set what an embedding request has left to encode, and register its clip's keys."""
        if stats.submitted_s is None:
            stats.submitted_s = time.monotonic()
            stats.num_windows_left = self._num_to_encode(windows)
        if stats.clip_name:
            self.clips.register(stats.clip_name, [window.key for window in windows], None)

    def embed(
        self,
        windows: abc.Sequence[AudioWindow],
        stats: RequestStats,
        *,
        is_projected: bool,
    ) -> list[torch.Tensor]:
        """Return encoder states or embeddings of windows at their places in a clip.

        `(num_tokens, width)` each, of the encoder's or the language model's width, on the host: a
        long clip's would take memory of the device until its last window is encoded.
        """
        encoder, started_s = self.runner.encoder, time.monotonic()
        not_encoded = [window for window in windows if window.states is None]
        rows = encoder.project(windows) if is_projected else encoder.states_of(windows)
        stats.record_encoded_windows(sum(window.is_encoded for window in not_encoded))
        spent_s = time.monotonic() - started_s
        self.scheduler.observe_embedding(spent_s, is_low=stats.priority.is_low)
        stats.compute_s += spent_s
        stats.encode_s += spent_s
        stats.encoded_s = started_s + spent_s
        stats.started_s = stats.started_s or started_s
        return [encoder.host.store(each) for each in rows]

    def submit(self, prompt: Prompt, params: SamplingParams, seed: int, emit: Emit) -> Sequence:
        """Add a prompt; `step` calls `emit` with each of its outputs."""
        config = self.checkpoint.model.config
        prompt_ids = np.asarray(prompt.token_ids, dtype=np.int32)
        sequence = Sequence(
            number=next(self._numbers),
            prompt_ids=prompt_ids,
            params=params,
            arrived_s=time.monotonic(),
            is_low=prompt.stats.priority.is_low,
            own_prefix=prefix_of(
                prompt_ids, prompt.audio, salt=prompt.salt, slot_id=config.audio_token_id
            ),
            salt=prompt.salt,
            stats=prompt.stats,
            deadline_s=prompt.deadline_s,
            eos_ids=self.checkpoint.limits.eos_token_ids,
            has_grammar=prompt.grammar is not None,
        )
        self._register(prompt, sequence)
        state = SamplingState.create(
            params,
            seed,
            prompt_ids=prompt_ids.tolist() if params.repetition_penalty != 1.0 else (),
            vocabulary_size=config.text_config.vocab_size,
        )
        sampling = SamplingInput(state, sequence.output_ids)
        constraint = sequence_constraint.constraint_of(
            prompt.reasoning, prompt.grammar, prompt.calls
        )
        sequence.num_free = sequence_constraint.num_free(constraint)
        self._inputs[sequence] = SequenceInputs(prompt.audio, sampling, constraint)
        self._emits[sequence] = emit
        self.scheduler.submit(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Remove a sequence; what it has computed stays cached. Idempotent."""
        if self._forget(sequence) is not None:
            _expect_no_more_output(sequence)
        self.scheduler.finish(sequence, now_s=time.monotonic(), is_kept=True)
        self.runner.drop_unused_embeds()

    def step(self, load: EngineLoad | None = None) -> None:
        """Compute one step, and update the costs in `load`.

        Raises:
            EngineBroken: the device is lost or too small, or every sequence fails.
        """
        started_s = time.monotonic()
        plan = self._pipeline.next_plan(functools.partial(self.scheduler.schedule, started_s))
        if not plan.is_empty:
            self._compute(plan, started_s)
        self.runner.drop_unused_embeds()
        self.runner.clock.settle()  # the windows of embeddings are encoded beside the steps
        if load is not None:
            load.recent.observe(self.profile)

    def _compute(self, plan: StepPlan, started_s: float) -> None:
        """Compute and commit a step that was planned at `started_s`."""
        windows_before_s = self.profile.windows_s
        may_repeat = self.scheduler.only_decodes(plan, started_s)
        results = self._pipeline.run(plan, self._inputs, may_repeat=may_repeat)
        now_s = time.monotonic()
        windows_s = self.profile.windows_s - windows_before_s
        # Before any output is emitted: the receiver of the last one reads the stats.
        self.profile.num_steps += 1
        encoded = [job for job in plan.windows if self._was_encoded(job)]
        step_stats.record_step(plan, encoded, StepTimes(started_s, now_s - started_s, windows_s))
        self._commit(plan, results, now_s)
        self.scheduler.observe(plan, now_s - started_s, windows_s=windows_s)

    def fail_all(self, error: Exception) -> None:
        """End every sequence with `error`."""
        for sequence in list(self._emits):
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
        inputs = self._inputs.get(job.sequence)
        audio = inputs.audio if inputs else None
        return audio is not None and audio.windows[job.index].is_encoded

    def _commit(
        self, plan: StepPlan, results: abc.Mapping[Sequence, SampleResult], now_s: float
    ) -> None:
        self._fail_unsampled(results)
        # A sequence that failed is finished: its part of the plan must not be committed.
        kept = StepPlan(
            windows=[j for j in plan.windows if j.sequence.state is not SequenceState.FINISHED],
            chunks=[c for c in plan.chunks if c.sequence.state is not SequenceState.FINISHED],
        )
        sampled = {s: r for s, r in results.items() if isinstance(r, SampledToken)}
        tokens = {s: token.token_id for s, token in sampled.items()}
        finished = self.scheduler.commit(kept, tokens, now_s=now_s)
        for sequence, token in sampled.items():
            self._advance(sequence, token, is_finished=sequence in finished)

    def _fail_unsampled(self, results: abc.Mapping[Sequence, SampleResult]) -> None:
        for sequence, result in results.items():
            if isinstance(result, InvalidLogits):
                self._fail(sequence, SequenceFailed("the model's logits are not finite"))
            elif isinstance(result, BadRequest):
                self._fail(sequence, result)

    def _advance(self, sequence: Sequence, token: SampledToken, *, is_finished: bool) -> None:
        """Emit a committed token; a grammar may finish the sequence or fail it."""
        reason: FinishReason | None = "length" if is_finished else None
        if (constraint := self._inputs[sequence].constraint) is not None:
            try:
                constraint.accept(token.token_id)
            except (BadRequest, ValueError) as error:
                self._fail(sequence, error)
                return
            sequence.num_free = sequence_constraint.num_free(constraint)
            if constraint.is_done:
                self.scheduler.finish(sequence, now_s=time.monotonic(), is_kept=True)
                reason = "stop"
        self._emit(sequence, token, reason)

    def _emit(self, sequence: Sequence, token: SampledToken, reason: FinishReason | None) -> None:
        if len(sequence.output_ids) == 1:
            self.profile.num_prompt_tokens += sequence.num_prompt
            self.profile.num_cached_tokens += sequence.num_cached_tokens
        output = _output(token, sequence, reason)
        is_output = output.token_id is not None or bool(sequence.params.logprob_token_ids)
        sequence.stats.record_token(time.monotonic(), is_text=is_output)
        emit = self._emits[sequence]
        if output.finish_reason is not None:
            self._forget(sequence)
            _expect_no_more_output(sequence)
        emit(replace(output, num_cached_tokens=sequence.num_cached_tokens))

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        prefix = sequence.prefix
        if prefix is not None and isinstance(error, SequenceFailed):
            self.scheduler.kv_cache.invalidate(prefix)
        self.scheduler.finish(sequence, now_s=time.monotonic())
        emit = self._forget(sequence)
        if emit is not None:
            _expect_no_more_output(sequence)
            emit(error)

    def _forget(self, sequence: Sequence) -> Emit | None:
        """Return where the outputs of a sequence went that is not forgotten yet."""
        self._inputs.pop(sequence, None)
        return self._emits.pop(sequence, None)


def _expect_no_more_output(sequence: Sequence) -> None:
    num_unused = sequence.params.max_tokens - len(sequence.output_ids)
    sequence.stats.reduce_expected_output(num_unused)


def _output(token: SampledToken, sequence: Sequence, reason: FinishReason | None) -> TokenOutput:
    params = sequence.params
    stop_id = token.token_id if token.token_id in params.stop_token_ids else None
    logprobs = (token.logprob, token.top_logprobs, token.token_logprobs)
    if stop_id is None and token.token_id not in sequence.stop_ids:
        return TokenOutput(token.token_id, reason, *logprobs)
    if stop_id is None or not params.is_stop_token_kept:
        scored = token.token_logprobs
        return TokenOutput(None, "stop", token_logprobs=scored, stop_token_id=stop_id)
    return TokenOutput(stop_id, "stop", *logprobs, stop_token_id=stop_id)
