"""The step: schedule, run, commit. One thread calls everything here.

A fault in a step is looked for: its chunks are run again one by one, writing the
same KV once more, and only those that fail alone are failed. If none succeeds,
the fault is the engine's, and it says so.
"""

import hashlib
import itertools
import math
import time
from collections import abc
from dataclasses import dataclass, field, replace

import torch

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_common.errors import BadRequest
from flamingo_common.wire.responses import FinishReason
from flamingo_pod.engine import forward, sampler
from flamingo_pod.engine.audio import AudioWindow, ClipAudio
from flamingo_pod.engine.clips import ClipIndex
from flamingo_pod.engine.encoder import AudioEncoder
from flamingo_pod.engine.grammar import Grammar
from flamingo_pod.engine.kv import KvPool
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.options import EngineOptions, ModelImpl
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.engine.runner import ModelRunner, Outcome, SequenceInputs
from flamingo_pod.engine.scheduler import Scheduler, SchedulerLimits, StepPlan, WindowJob
from flamingo_pod.engine.sequence import (
    Prefix,
    SamplingParams,
    Sequence,
    SequenceState,
    TokenOutput,
)
from flamingo_pod.engine.shares import shares
from flamingo_pod.model.checkpoint import Checkpoint

FORWARDS: abc.Mapping[ModelImpl, abc.Callable[..., forward.Forward]] = {
    "fused": forward.FusedForward,
    "transformers": forward.TransformersForward,
}
MAX_FAULTS = 3
"""So many steps in a row without one that succeeds, and the engine is broken."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with a `<sound>` slot for each of the audio's tokens."""

    token_ids: abc.Sequence[int]
    audio: ClipAudio | None = None
    salt: bytes = b""
    """Sequences share KV only with those of the same salt."""
    deadline_s: float = math.inf
    """When nobody waits for it any more; it hurries when that is near."""
    grammar: Grammar | None = None
    """What the answer must be, at its start; a sequence needs one of its own."""
    stats: RequestStats = field(default_factory=RequestStats)
    """Its request's, which the engine fills in."""


class SequenceFailed(Exception):
    """This sequence made the model fail; others go on."""


class EngineBroken(Exception):
    """The engine fails whatever it is given."""


Emit = abc.Callable[[TokenOutput | Exception], None]
"""Takes a sequence's steps, and what ended it if that was no step."""


@dataclass(slots=True)
class _Client:
    asked: SequenceInputs
    emit: Emit


@dataclass(slots=True)
class EngineCore:
    """The engine without a thread."""

    checkpoint: Checkpoint
    options: EngineOptions
    scheduler: Scheduler = field(init=False)
    runner: ModelRunner = field(init=False)
    profile: EngineProfile = field(default_factory=EngineProfile)
    clips: ClipIndex = field(default_factory=ClipIndex)
    _clients: dict[Sequence, _Client] = field(default_factory=dict)
    _numbers: abc.Iterator[int] = field(default_factory=itertools.count)
    _num_faults: int = 0

    def __post_init__(self) -> None:
        model = self.checkpoint.model
        limits = SchedulerLimits(
            kv_cache_tokens=self.options.kv_cache_tokens, max_num_seqs=self.options.max_num_seqs
        )
        self.scheduler = Scheduler(limits)
        pool = KvPool(model.config.text_config, limits.kv_cache_tokens, model.lm_head.weight)
        kind = FORWARDS[self.options.model_impl]
        cache_bytes = self.options.encoder_cache_bytes
        encoder = AudioEncoder(self.checkpoint, self.profile, max_cache_bytes=cache_bytes)
        self.runner = ModelRunner(self.checkpoint, pool, kind(model, pool), encoder, self.profile)
        self.scheduler.memory.on_change = encoder.states.on_change = self.clips.tell

    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._clients)

    @property
    def num_running(self) -> int:
        """Sequences that hold memory."""
        return len(self.scheduler.running)

    @property
    def num_kv_tokens_used(self) -> int:
        """Tokens of the pool that running sequences hold."""
        return self.scheduler.memory.num_reserved

    def cache_lookups(self) -> dict[str, tuple[int, int]]:
        """Return by cache how many windows, or in `kv` tokens, were looked up, and found."""
        encoder, profile = self.runner.encoder, self.profile
        caches = {"states": encoder.states, "rows": encoder.rows}
        counts = {
            name: (cache.num_hits + cache.num_misses, cache.num_hits)
            for name, cache in caches.items()
        }
        return counts | {"kv": (profile.num_prompt_tokens, profile.num_reused_tokens)}

    def expect(self, windows: abc.Sequence[AudioWindow], stats: RequestStats) -> None:
        """Take off an embedding's stats what the cache holds, and note under what its clip is."""
        if stats.submitted_s is None:
            stats.submitted_s = time.monotonic()
            stats.num_windows_left = self._num_missing(windows)
        if stats.clip_name:
            self.clips.note(stats.clip_name, [window.key for window in windows], None)

    def embed(
        self,
        placed: abc.Sequence[tuple[AudioWindow, int]],
        stats: RequestStats,
        *,
        is_projected: bool,
    ) -> list[torch.Tensor]:
        """Return rows of windows at their places in a clip, `(tokens, width)` each."""
        encoder, windows, started_s = self.runner.encoder, [w for w, _ in placed], time.monotonic()
        fresh = [window for window in windows if window.states is None]
        if is_projected:
            rows = encoder.heard(placed)
        else:
            encoder.encode(windows)
            rows = [window.states for window in windows]
        stats.record_encoded_windows(sum(window.is_encoded for window in fresh))
        spent_s = time.monotonic() - started_s
        stats.compute_s += spent_s
        stats.encode_s += spent_s
        stats.encoded_s = started_s + spent_s
        stats.started_s = stats.started_s or started_s
        return rows

    def submit(self, prompt: Prompt, params: SamplingParams, seed: int, emit: Emit) -> Sequence:
        """Take a prompt; `emit` is told each step from `step` on."""
        sequence = Sequence(
            number=next(self._numbers),
            prompt_ids=prompt.token_ids,
            params=params,
            arrived_s=time.monotonic(),
            prefix_of=self._prefix(prompt),
            salt=prompt.salt,
            stats=prompt.stats,
            deadline_s=prompt.deadline_s,
        )
        self._open(prompt, sequence)
        asked = SequenceInputs(prompt.audio, seed, frozenset(prompt.token_ids), prompt.grammar)
        self._clients[sequence] = _Client(asked, emit)
        self.scheduler.submit(sequence)
        return sequence

    def cancel(self, sequence: Sequence) -> None:
        """Let go of a sequence nobody waits for; what it has computed may serve another."""
        prefix = sequence.prefix
        if self._clients.pop(sequence, None) is not None:
            _close(sequence)
        self.scheduler.end(sequence, now_s=time.monotonic(), is_kept=True)
        self._tidy(prefix)

    def step(self, load: EngineLoad | None = None) -> None:
        """Do one step of work, and let `load` learn from it.

        Raises:
            EngineBroken: `MAX_FAULTS` steps in a row have failed altogether.
        """
        started_s = time.monotonic()
        plan = self.scheduler.plan(started_s)
        if plan.is_empty:
            return
        heard_before_s = self.profile.hear_s
        choices = self._run(plan)
        now_s = time.monotonic()
        hear_s = self.profile.hear_s - heard_before_s
        self._charge(plan, started_s, step_s=now_s - started_s, hear_s=hear_s)
        self._commit(plan, choices, now_s)
        self.scheduler.budget.observe(
            now_s - started_s, num_decoding=plan.num_decoding, num_prefilled=plan.num_prefilled
        )
        if load is not None:
            self._measure(load)

    def _open(self, prompt: Prompt, sequence: Sequence) -> None:
        """Take off the request's stats what the caches hold, and note under what its clip is."""
        stats, prefix = sequence.stats, sequence.prefix_of
        if stats.submitted_s is not None:
            return  # it is another choice's already
        stats.submitted_s = sequence.arrived_s
        if prefix is None or prompt.audio is None:
            return
        windows = prompt.audio.windows
        if prefix.key in self.scheduler.memory.prefixes:
            stats.num_windows_left = 0
            stats.num_prompt_tokens_left -= prefix.num_tokens
        else:
            stats.num_windows_left = self._num_missing(windows)
        if stats.clip_name:
            self.clips.note(stats.clip_name, [window.key for window in windows], prefix.key)

    def _num_missing(self, windows: abc.Sequence[AudioWindow]) -> int:
        cached = self.runner.encoder.states
        return sum(window.states is None and window.key not in cached for window in windows)

    def _charge(self, plan: StepPlan, started_s: float, *, step_s: float, hear_s: float) -> None:
        """Write a step that has been computed into the all_stats, before anybody is told of it."""
        self.profile.num_steps += 1
        encoded = [job for job in plan.windows if self._was_encoded(job)]
        for job in encoded:
            job.sequence.stats.record_encoded_windows(1)
        for chunk in plan.chunks:
            stats = chunk.sequence.stats
            stats.num_prompt_tokens_left = max(0, len(chunk.sequence.prompt_ids) - chunk.stop)
            if chunk.start < chunk.sequence.num_prefix:
                stats.num_prefix_tokens_computed += chunk.num_tokens
        for sequence, share in shares(plan, encoded, step_s=step_s, hear_s=hear_s).items():
            sequence.stats.compute_s += share.total_s
            sequence.stats.encode_s += share.hear_s
            if share.hear_s:
                sequence.stats.encoded_s = started_s + hear_s
            if sequence.stats.started_s is None:
                sequence.stats.started_s = started_s

    def _was_encoded(self, job: WindowJob) -> bool:
        client = self._clients.get(job.sequence)
        audio = client.asked.audio if client else None
        return audio is not None and audio.windows[job.index].is_encoded

    def _measure(self, load: EngineLoad) -> None:
        profile = self.profile
        if profile.num_windows:
            load.encode_s = (profile.mel_s + profile.encode_s) / profile.num_windows
        if profile.num_prefilled:
            load.prefill_s = profile.prefill_s / profile.num_prefilled * TOKENS_PER_WINDOW
        if profile.num_decoded:
            load.token_s = profile.decode_s / profile.num_decoded

    def fail_all(self, why: Exception) -> None:
        """End every sequence with `why`."""
        for sequence in list(self._clients):
            self._fail(sequence, why)

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

    def _asked(self) -> dict[Sequence, SequenceInputs]:
        return {sequence: client.asked for sequence, client in self._clients.items()}

    def _run(self, plan: StepPlan) -> dict[Sequence, Outcome]:
        try:
            choices = self.runner.run(plan, self._asked())
        except Exception as error:  # noqa: BLE001 - its cause is looked for
            return self._run_apart(plan, error)
        self._num_faults = 0
        return choices

    def _run_apart(self, plan: StepPlan, error: Exception) -> dict[Sequence, Outcome]:
        """Run a failed step's parts alone, and fail the sequences that fail alone."""
        choices: dict[Sequence, Outcome] = {}
        parts = [(job.sequence, StepPlan(windows=[job])) for job in plan.windows]
        parts += [(chunk.sequence, StepPlan(chunks=[chunk])) for chunk in plan.chunks]
        num_good = 0
        for owner, part in parts:
            try:
                choices |= self.runner.run(part, self._asked())
                num_good += 1
            except Exception as alone:  # noqa: BLE001 - it is told to its owner
                self._fail(owner, SequenceFailed(str(alone)))
        self._num_faults = 0 if num_good else self._num_faults + 1
        if self._num_faults >= MAX_FAULTS:
            raise EngineBroken from error
        return choices

    def _commit(
        self, plan: StepPlan, choices: abc.Mapping[Sequence, Outcome], now_s: float
    ) -> None:
        for sequence, choice in choices.items():
            if isinstance(choice, sampler.InvalidLogits):
                self._fail(sequence, SequenceFailed("the model's logits are not finite"))
            elif isinstance(choice, BadRequest):
                self._fail(sequence, choice)
        lost = {s for c in plan.chunks if (s := c.sequence).state is SequenceState.OVER}
        kept = StepPlan(
            windows=[job for job in plan.windows if job.sequence.state is not SequenceState.OVER],
            chunks=[chunk for chunk in plan.chunks if chunk.sequence not in lost],
        )
        chosen = {s: c for s, c in choices.items() if isinstance(c, sampler.SampledToken)}
        prefixes = {s: s.prefix for s in self._clients}
        eos = self.checkpoint.limits.eos_token_ids
        tokens = {s: choice.token_id for s, choice in chosen.items()}
        over = self.scheduler.commit(kept, tokens, eos, now_s=now_s)
        for sequence, choice in chosen.items():
            self._tell(sequence, choice, is_over=sequence in over)
        for sequence in {chunk.sequence for chunk in kept.chunks}:
            self._tidy(prefixes.get(sequence))

    def _tell(self, sequence: Sequence, choice: sampler.SampledToken, *, is_over: bool) -> None:
        """Hand on a committed choice; its grammar may end the answer, well or not."""
        reason: FinishReason | None = "length" if is_over else None
        if (grammar := self._clients[sequence].asked.grammar) is not None:
            try:
                grammar.accept(choice.token_id)
            except (BadRequest, ValueError) as error:
                self._fail(sequence, error)
                return
            if grammar.is_done:
                self.scheduler.end(sequence, now_s=time.monotonic(), is_kept=True)
                reason = "stop"
        self._emit(sequence, choice, reason)

    def _emit(
        self, sequence: Sequence, choice: sampler.SampledToken, reason: FinishReason | None
    ) -> None:
        client = self._clients[sequence]
        if len(sequence.output_ids) == 1:
            self.profile.num_prompt_tokens += len(sequence.prompt_ids)
            self.profile.num_reused_tokens += sequence.num_cached_tokens
        step = _step(choice, self.checkpoint.limits.eos_token_ids, reason)
        sequence.stats.record_token(time.monotonic(), is_text=step.token_id is not None)
        if step.finish_reason is not None:
            del self._clients[sequence]
            _close(sequence)
        client.emit(replace(step, num_cached_tokens=sequence.num_cached_tokens))

    def _fail(self, sequence: Sequence, why: Exception) -> None:
        prefix = sequence.prefix
        if prefix is not None and isinstance(why, SequenceFailed):
            self.scheduler.memory.distrust(prefix)
        self.scheduler.end(sequence, now_s=time.monotonic())
        client = self._clients.pop(sequence, None)
        self._tidy(prefix)
        if client is not None:
            _close(sequence)
            client.emit(why)

    def _tidy(self, prefix: Prefix | None) -> None:
        if prefix is not None and (prefix.is_computed or prefix.extent is None):
            self.runner.forget(prefix)


def _close(sequence: Sequence) -> None:
    """Expect no more tokens of a sequence that is over."""
    sequence.stats.reduce_expected_output(sequence.params.max_tokens - len(sequence.output_ids))


def _step(
    choice: sampler.SampledToken, eos: abc.Set[int], reason: FinishReason | None
) -> TokenOutput:
    if choice.token_id in eos:
        return TokenOutput(None, "stop")
    return TokenOutput(choice.token_id, reason, choice.logprob, choice.top_logprobs)
