"""What the next step computes: rows that decode, chunks that prefill, windows to encode.

Every step all running sequences that decode get their row; what is left of the
budget goes to prompts, the shortest remaining first, where waiting makes short:
a clip of ten seconds overtakes one of twenty minutes, but not for ever. Of the
sequences that share an unfinished prefix one computes and the others wait for it.

Room for a whole sequence is taken when it is admitted, so a running one never
wants for memory. When the one that has waited longest still finds none, the
youngest of the running is put back: it keeps its words, and computes its KV anew.

Pure: time is an argument; what was computed is told by `commit`.
"""

from collections import abc
from dataclasses import dataclass, field

from flamingo_pod.engine.budget import TokenBudget
from flamingo_pod.engine.memory import KvCacheManager, KvCopy
from flamingo_pod.engine.sequence import Prefix, Sequence, SequenceState


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """How much runs at once, and how long waiting is fair."""

    kv_cache_tokens: int
    max_num_seqs: int
    """Sequences in one batch."""
    max_windows_per_step: int = 8
    """Windows encoded in one step: what a stream must wait for."""
    ageing_s: float = 5.0
    """Having waited this long halves what remains, in the order of prompts."""
    preempt_after_s: float = 10.0
    """Having waited this long for room, a sequence may take a younger one's."""
    priority_after_s: float = 30.0
    """Having waited this long, it comes before all that have not."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive tokens of one sequence, computed in one step."""

    sequence: Sequence
    start: int
    stop: int

    @property
    def chooses(self) -> bool:
        """Whether its last token's logits choose the next token."""
        return self.stop == self.sequence.num_tokens

    @property
    def num_tokens(self) -> int:
        """ChunkAttention of the batch."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class WindowJob:
    """One window to encode, for all who share the prefix; `sequence` has the samples."""

    sequence: Sequence
    prefix: Prefix
    index: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step."""

    copies: abc.Sequence[KvCopy] = ()
    windows: abc.Sequence[WindowJob] = ()
    chunks: abc.Sequence[Chunk] = ()
    num_decoding: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.copies or self.windows or self.chunks)

    @property
    def num_prefilled(self) -> int:
        """Tokens of prompts."""
        return sum(chunk.num_tokens for chunk in self.chunks) - self.num_decoding


@dataclass(slots=True)
class Scheduler:
    """All sequences that are not over."""

    limits: SchedulerLimits
    budget: TokenBudget = field(default_factory=TokenBudget)
    waiting: list[Sequence] = field(default_factory=list)
    running: list[Sequence] = field(default_factory=list)
    memory: KvCacheManager = field(init=False)
    num_preemptions: int = 0

    def __post_init__(self) -> None:
        self.memory = KvCacheManager(self.limits.kv_cache_tokens)

    def can_ever_run(self, sequence: Sequence) -> bool:
        """Whether an empty pool would have room for it."""
        return sequence.num_prefix + sequence.num_tail <= self.limits.kv_cache_tokens

    def submit(self, sequence: Sequence) -> None:
        """Take a sequence that `can_ever_run`."""
        assert self.can_ever_run(sequence)
        self.waiting.append(sequence)

    def plan(self, now_s: float) -> StepPlan:
        """Return the next step, and hold what it needs."""
        copies = self._admit(now_s)
        decoding = [s for s in self.running if s.num_pending == 1 and s.output_ids]
        chunks = [Chunk(s, s.num_tokens - 1, s.num_tokens) for s in decoding]
        prompts = self._in_order([s for s in self.running if s not in decoding], now_s)
        room = self.budget.tokens(len(chunks))
        prefills = self._prefills(prompts, room)
        windows = self._windows(prompts, is_idle=not (chunks or prefills), room=room)
        return StepPlan(copies, windows, [*chunks, *prefills], num_decoding=len(chunks))

    def commit(
        self, plan: StepPlan, chosen: abc.Mapping[Sequence, int], eos: abc.Set[int], *, now_s: float
    ) -> list[Sequence]:
        """Write a computed step into its sequences; return those that are over.

        `chosen` has a token for each chunk that chooses.
        """
        for job in plan.windows:
            job.prefix.num_windows_ready = max(job.prefix.num_windows_ready, job.index + 1)
        for chunk in plan.chunks:
            _advance(chunk)
        over = [s for s, token in chosen.items() if _append(s, token, eos)]
        for sequence in over:
            self.end(sequence, now_s=now_s, is_kept=True)
        return over

    def end(self, sequence: Sequence, *, now_s: float, is_kept: bool = False) -> None:
        """Let go of a sequence, whatever it is doing; again does nothing."""
        if sequence.state is SequenceState.OVER:
            return
        (self.waiting if sequence.state is SequenceState.WAITING else self.running).remove(sequence)
        sequence.state = SequenceState.OVER
        self.memory.release(sequence, now_s=now_s, is_kept=is_kept)

    def _admit(self, now_s: float) -> list[KvCopy]:
        copies: list[KvCopy] = []
        for sequence in self._in_order(self.waiting, now_s):
            if len(self.running) >= self.limits.max_num_seqs:
                break
            if self._is_being_read(sequence):
                continue
            taken = self._room_for(sequence, now_s)
            if taken is None:
                if self._has_waited(sequence, now_s):
                    break  # what is freed is kept for the one that has waited longest
                continue
            copies += taken
            self.waiting.remove(sequence)
            self.running.append(sequence)
            sequence.state = SequenceState.RUNNING
        return copies

    def _is_being_read(self, sequence: Sequence) -> bool:
        """Whether another reads the very same prompt now: its choices fork when it is read."""
        return any(
            running.context == sequence.context
            and not running.output_ids
            and (
                running.prompt_ids is sequence.prompt_ids
                or running.prompt_ids == sequence.prompt_ids
            )
            for running in self.running
        )

    def _room_for(self, sequence: Sequence, now_s: float) -> list[KvCopy] | None:
        taken = self.memory.admit(sequence, now_s=now_s)
        while taken is None and self._has_waited(sequence, now_s):
            if not self._preempt_younger(sequence, now_s):
                return None
            taken = self.memory.admit(sequence, now_s=now_s)
        return taken

    def _has_waited(self, sequence: Sequence, now_s: float) -> bool:
        return now_s - sequence.arrived_s >= self.limits.preempt_after_s

    def _preempt_younger(self, sequence: Sequence, now_s: float) -> bool:
        """Put the youngest running sequence back, if it is younger than `sequence`.

        Youngest by number, which is unique: of two sequences only the older ever
        takes the other's room, so that one always gets to its end.
        """
        victim = max(self.running, key=lambda running: running.number, default=None)
        if victim is None or victim.number < sequence.number:
            return False
        self.running.remove(victim)
        self.memory.release(victim, now_s=now_s, is_kept=False)
        victim.state = SequenceState.WAITING
        victim.num_preempted += 1
        self.num_preemptions += 1
        self.waiting.append(victim)
        return True

    def _in_order(self, sequences: abc.Iterable[Sequence], now_s: float) -> list[Sequence]:
        def rank(sequence: Sequence) -> tuple[bool, float, int]:
            waited_s = now_s - sequence.arrived_s
            is_late = sequence.deadline_s - now_s < self.limits.ageing_s
            return (
                not is_late and waited_s < self.limits.priority_after_s,
                sequence.num_pending / (1 + waited_s / self.limits.ageing_s),
                sequence.number,
            )

        return sorted(sequences, key=rank)

    def _prefills(self, prompts: abc.Iterable[Sequence], room: int) -> list[Chunk]:
        chunks: list[Chunk] = []
        taken: set[int] = set()
        for sequence in prompts:
            if room <= 0:
                break
            prefix = sequence.prefix
            if prefix is not None and not prefix.is_computed:
                if id(prefix) in taken:
                    continue  # another computes it in this very step
                taken.add(id(prefix))
            chunk = _next_chunk(sequence, room)
            if chunk is not None:
                chunks.append(chunk)
                room -= chunk.num_tokens
        return chunks

    def _windows(
        self, prompts: abc.Iterable[Sequence], *, is_idle: bool, room: int
    ) -> list[WindowJob]:
        """Return windows to encode: just enough that prefill never waits for them."""
        jobs: list[WindowJob] = []
        seen: set[int] = set()
        ahead = 0
        for sequence in prompts:
            prefix = sequence.prefix
            if prefix is None or prefix.is_computed or id(prefix) in seen:
                continue
            seen.add(id(prefix))
            ahead += prefix.num_ready - prefix.num_computed
            for index in range(prefix.num_windows_ready, len(prefix.window_tokens)):
                is_enough = ahead >= 2 * room and not is_idle
                if len(jobs) >= self.limits.max_windows_per_step or is_enough:
                    return jobs
                jobs.append(WindowJob(sequence, prefix, index))
                ahead += prefix.window_tokens[index]
        return jobs


def _next_chunk(sequence: Sequence, room: int) -> Chunk | None:
    """Return the next tokens of a prompt that can be computed, at most `room` of them.

    A chunk ends with the prefix: what lies behind it is in another extent, and
    others may be waiting for it.
    """
    prefix, start = sequence.prefix, sequence.num_computed
    if prefix is not None and not prefix.is_computed:
        stop = min(prefix.num_ready, start + room)
    else:
        stop = min(sequence.num_tokens, start + room)
    return Chunk(sequence, start, stop) if stop > start else None


def _advance(chunk: Chunk) -> None:
    prefix = chunk.sequence.prefix
    if prefix is not None and not prefix.is_computed:
        prefix.num_computed = chunk.stop
    else:
        chunk.sequence.num_tail_computed = chunk.stop - chunk.sequence.num_prefix


def _append(sequence: Sequence, token: int, eos: abc.Set[int]) -> bool:
    """Add a token; return whether it was the last."""
    sequence.output_ids.append(token)
    return token in eos or len(sequence.output_ids) == sequence.params.max_tokens
