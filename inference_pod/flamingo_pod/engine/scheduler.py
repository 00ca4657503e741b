"""The scheduler: what the next step computes.

How it works: every step gives each decoding sequence its row; what the token budget leaves is
filled with chunks of prompts (chunked prefill). Prompts are ordered by what remains of them,
shortest first, and waiting makes a prompt count as shorter, so a clip of ten seconds overtakes
one of twenty minutes, but not forever; a near deadline comes before all. Of the sequences that
share an unfinished prefix one computes it and the others wait.

Memory for a whole sequence, prompt and output, is allocated when it is admitted, so a running
sequence never runs out of it. Where the sequence that has waited longest still finds no room, the
youngest running one is preempted: its extents are freed, its output tokens are kept, and it waits
to be prefilled again, as with vLLM's preemption by recomputation.

Audio windows are encoded just ahead of the prefill that needs them, so the language model starts
on the beginning of a clip while its end is still to be encoded.

`schedule` returns a plan and allocates what it needs; `commit` records that it was computed.

Pure: the time is an argument.
"""

from collections import abc
from dataclasses import dataclass, field

from flamingo_pod.engine.budget import TokenBudget
from flamingo_pod.engine.memory import KvCacheManager, KvCopy
from flamingo_pod.engine.sequence import Prefix, Sequence, SequenceState


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """How much is computed at once, and how waiting changes the order."""

    kv_cache_tokens: int
    max_num_seqs: int
    """Sequences in one batch."""
    max_windows_per_step: int = 8
    """Windows encoded in one step, while every decoding sequence waits."""
    ageing_s: float = 5.0
    """Having waited this long, a prompt counts as half as long."""
    preempt_after_s: float = 10.0
    """After waiting this long for memory, a sequence may preempt a younger one."""
    priority_after_s: float = 30.0
    """After waiting this long, a sequence comes before all that have not."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive tokens `[start, stop)` of one sequence, computed in one step."""

    sequence: Sequence
    start: int
    stop: int

    @property
    def is_sampled(self) -> bool:
        """Whether the next token is sampled from the logits of its last one."""
        return self.stop == self.sequence.num_tokens

    @property
    def num_tokens(self) -> int:
        """Rows of the batch."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class WindowJob:
    """One window to encode for all users of the prefix; `sequence` has the samples."""

    sequence: Sequence
    prefix: Prefix
    index: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step computes, in this order."""

    copies: abc.Sequence[KvCopy] = ()
    windows: abc.Sequence[WindowJob] = ()
    chunks: abc.Sequence[Chunk] = ()
    num_decoding: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self.copies or self.windows or self.chunks)

    @property
    def num_prefilled(self) -> int:
        """Prompt tokens in the batch."""
        return sum(chunk.num_tokens for chunk in self.chunks) - self.num_decoding


@dataclass(slots=True)
class Scheduler:
    """The waiting and the running sequences."""

    limits: SchedulerLimits
    budget: TokenBudget = field(default_factory=TokenBudget)
    waiting: list[Sequence] = field(default_factory=list)
    running: list[Sequence] = field(default_factory=list)
    kv_cache: KvCacheManager = field(init=False)
    num_preemptions: int = 0

    def __post_init__(self) -> None:
        self.kv_cache = KvCacheManager(self.limits.kv_cache_tokens)

    def can_ever_run(self, sequence: Sequence) -> bool:
        """Whether it would fit into an empty pool."""
        return sequence.num_prefix + sequence.tail_capacity <= self.limits.kv_cache_tokens

    def submit(self, sequence: Sequence) -> None:
        """Add a sequence that `can_ever_run` to the waiting ones."""
        assert self.can_ever_run(sequence)
        self.waiting.append(sequence)

    def schedule(self, now_s: float) -> StepPlan:
        """Return the next step, with the memory that it needs allocated."""
        copies = self._admit(now_s)
        decoding = [s for s in self.running if s.num_pending == 1 and s.output_ids]
        decodes = [Chunk(s, s.num_tokens - 1, s.num_tokens) for s in decoding]
        prompts = self._by_priority([s for s in self.running if s not in decoding], now_s)
        budget = self.budget.max_prefill_tokens(len(decodes))
        prefills = self._schedule_prefills(prompts, budget)
        is_idle = not (decodes or prefills)
        windows = self._schedule_windows(prompts, is_idle=is_idle, budget=budget)
        return StepPlan(copies, windows, [*decodes, *prefills], num_decoding=len(decodes))

    def commit(
        self,
        plan: StepPlan,
        sampled: abc.Mapping[Sequence, int],
        eos: abc.Set[int],
        *,
        now_s: float,
    ) -> list[Sequence]:
        """Record that a step was computed; return the sequences that are finished by it.

        `sampled` has a token id for each chunk with `is_sampled`; `eos` are the model's
        end-of-sequence token ids.
        """
        for job in plan.windows:
            job.prefix.num_windows_ready = max(job.prefix.num_windows_ready, job.index + 1)
        for chunk in plan.chunks:
            _mark_computed(chunk)
        finished = [s for s, token in sampled.items() if _append(s, token, eos)]
        for sequence in finished:
            self.finish(sequence, now_s=now_s, is_kept=True)
        return finished

    def finish(self, sequence: Sequence, *, now_s: float, is_kept: bool = False) -> None:
        """Remove a sequence in whatever state; `is_kept` leaves its KV cached. Idempotent."""
        if sequence.state is SequenceState.FINISHED:
            return
        is_waiting = sequence.state is SequenceState.WAITING
        (self.waiting if is_waiting else self.running).remove(sequence)
        sequence.state = SequenceState.FINISHED
        self.kv_cache.free(sequence, now_s=now_s, is_kept=is_kept)

    def _admit(self, now_s: float) -> list[KvCopy]:
        """Move waiting sequences to the running ones, as far as memory and batch size allow."""
        copies: list[KvCopy] = []
        for sequence in self._by_priority(self.waiting, now_s):
            if len(self.running) >= self.limits.max_num_seqs:
                break
            if self._is_prompt_in_prefill(sequence):
                continue
            allocated = self._allocate(sequence, now_s)
            if allocated is None:
                if self._may_preempt(sequence, now_s):
                    break  # what becomes free is reserved for the one that has waited longest
                continue
            copies += allocated
            self.waiting.remove(sequence)
            self.running.append(sequence)
            sequence.state = SequenceState.RUNNING
        return copies

    def _is_prompt_in_prefill(self, sequence: Sequence) -> bool:
        """Whether a running sequence prefills the same prompt; afterwards its KV is copied."""
        return any(
            running.sharing_key == sequence.sharing_key
            and not running.output_ids
            and (
                running.prompt_ids is sequence.prompt_ids
                or running.prompt_ids == sequence.prompt_ids
            )
            for running in self.running
        )

    def _allocate(self, sequence: Sequence, now_s: float) -> list[KvCopy] | None:
        copies = self.kv_cache.allocate(sequence, now_s=now_s)
        while copies is None and self._may_preempt(sequence, now_s):
            if not self._preempt_younger(sequence, now_s):
                return None
            copies = self.kv_cache.allocate(sequence, now_s=now_s)
        return copies

    def _may_preempt(self, sequence: Sequence, now_s: float) -> bool:
        return now_s - sequence.arrived_s >= self.limits.preempt_after_s

    def _preempt_younger(self, sequence: Sequence, now_s: float) -> bool:
        """Preempt the youngest running sequence, if it is younger than `sequence`.

        Youngest by number, which is unique: of two sequences only the older can ever preempt
        the other, so one of them always finishes.
        """
        youngest = max(self.running, key=lambda running: running.number, default=None)
        if youngest is None or youngest.number < sequence.number:
            return False
        self.running.remove(youngest)
        self.kv_cache.free(youngest, now_s=now_s, is_kept=False)
        youngest.state = SequenceState.WAITING
        youngest.num_preemptions += 1
        self.num_preemptions += 1
        self.waiting.append(youngest)
        return True

    def _by_priority(self, sequences: abc.Iterable[Sequence], now_s: float) -> list[Sequence]:
        def rank(sequence: Sequence) -> tuple[bool, float, int]:
            waited_s = now_s - sequence.arrived_s
            is_urgent = sequence.deadline_s - now_s < self.limits.ageing_s
            return (
                not is_urgent and waited_s < self.limits.priority_after_s,
                sequence.num_pending / (1 + waited_s / self.limits.ageing_s),
                sequence.number,
            )

        return sorted(sequences, key=rank)

    def _schedule_prefills(self, prompts: abc.Iterable[Sequence], budget: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        prefixes: set[int] = set()
        for sequence in prompts:
            if budget <= 0:
                break
            prefix = sequence.prefix
            if prefix is not None and not prefix.is_computed:
                if id(prefix) in prefixes:
                    continue  # another sequence computes it in this very step
                prefixes.add(id(prefix))
            chunk = _next_chunk(sequence, budget)
            if chunk is not None:
                chunks.append(chunk)
                budget -= chunk.num_tokens
        return chunks

    def _schedule_windows(
        self, prompts: abc.Iterable[Sequence], *, is_idle: bool, budget: int
    ) -> list[WindowJob]:
        """Return windows to encode: just enough that prefill never waits for them."""
        jobs: list[WindowJob] = []
        prefixes: set[int] = set()
        num_ahead = 0
        for sequence in prompts:
            prefix = sequence.prefix
            if prefix is None or prefix.is_computed or id(prefix) in prefixes:
                continue
            prefixes.add(id(prefix))
            num_ahead += prefix.num_ready - prefix.num_computed
            for index in range(prefix.num_windows_ready, len(prefix.window_tokens)):
                is_enough = num_ahead >= 2 * budget and not is_idle
                if len(jobs) >= self.limits.max_windows_per_step or is_enough:
                    return jobs
                jobs.append(WindowJob(sequence, prefix, index))
                num_ahead += prefix.window_tokens[index]
        return jobs


def _next_chunk(sequence: Sequence, budget: int) -> Chunk | None:
    """Return the next tokens of a prompt that can be computed, at most `budget` of them.

    A chunk ends with the prefix: what follows is in another extent, and other sequences may be
    waiting for the prefix.
    """
    prefix, start = sequence.prefix, sequence.num_computed
    if prefix is not None and not prefix.is_computed:
        stop = min(prefix.num_ready, start + budget)
    else:
        stop = min(sequence.num_tokens, start + budget)
    return Chunk(sequence, start, stop) if stop > start else None


def _mark_computed(chunk: Chunk) -> None:
    prefix = chunk.sequence.prefix
    if prefix is not None and not prefix.is_computed:
        prefix.num_computed = chunk.stop
    else:
        chunk.sequence.num_tail_computed = chunk.stop - chunk.sequence.num_prefix


def _append(sequence: Sequence, token: int, eos: abc.Set[int]) -> bool:
    """Add an output token; return whether it was the last."""
    sequence.output_ids.append(token)
    return token in eos or len(sequence.output_ids) == sequence.params.max_tokens
