"""The scheduler: what the next step computes.

How it works: every step gives each decoding sequence its row; what the token budget leaves is
filled with chunks of prompts (chunked prefill). Prompts are ordered by what remains of them,
shortest first, and waiting makes a prompt count as shorter, so a clip of ten seconds overtakes
one of twenty minutes, but not forever; a near deadline comes before all. Of the sequences that
share an unfinished prefix one computes it and the others wait.

Memory for the prompt and a first part of the output is allocated when a sequence is admitted
(`growth.py`), and more of it in the step that needs it. Where there is none, the most junior
running sequence is preempted, and so it is where the sequence that has waited longest finds no
room: its extents are freed, its output tokens are kept, and it waits to be prefilled again, as with
vLLM's preemption by recomputation. If it is the growing sequence itself, it gets all that it may
need when it is admitted again. Live sequences are senior to those of low priority, and of two
equals the older one is senior; so of two sequences the senior always finishes.

Live sequences come first in everything, and preempt those of low priority at once, for memory and
for places in the batch. Beside them low priority has a share of the engine's time
(`low_share.py`). The oldest of low priority that starves for memory or a place is promoted: it is
admitted and keeps its memory as if it were live. That is one at a time, so all of them end, one
after the other.

`schedule` returns a plan and allocates what it needs; `commit` records that it was computed.

A step costs a constant time for each running sequence. Waiting sequences are looked at only where
something has changed that may admit one: a sequence came, or one that ran has freed its memory or
computed its prompt. How long each has waited changes by itself, hence `ADMISSION_RETRY_S`.

Pure: the time is an argument.
"""

from collections import abc
from dataclasses import dataclass, field

from flamingo_pod.engine.scheduling.budget import TokenBudget
from flamingo_pod.engine.scheduling.growth import GrowthPolicy
from flamingo_pod.engine.scheduling.low_sequences import LowSequences
from flamingo_pod.engine.scheduling.low_share import LowShare
from flamingo_pod.engine.scheduling.memory import KvCacheManager
from flamingo_pod.engine.scheduling.prefill import PromptRoom, StepRoom, chunks_of, windows_of
from flamingo_pod.engine.scheduling.sequence import Sequence, SequenceState
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan

ADMISSION_RETRY_S = 0.1
"""So long after the last attempt, waiting sequences are looked at again though nothing changed."""


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


@dataclass(slots=True)
class Scheduler:
    """The waiting and the running sequences."""

    limits: SchedulerLimits
    budget: TokenBudget = field(default_factory=TokenBudget)
    growth: GrowthPolicy = field(default_factory=GrowthPolicy)
    waiting: dict[Sequence, None] = field(default_factory=dict)
    prefilling: dict[Sequence, None] = field(default_factory=dict)
    """The running sequences of which more than the last token is to be computed."""
    decoding: dict[Sequence, None] = field(default_factory=dict)
    """The other running sequences."""
    kv_cache: KvCacheManager = field(init=False)
    low_share: LowShare = field(default_factory=LowShare)
    num_preemptions: int = 0
    _low: LowSequences = field(default_factory=LowSequences)
    _new_prompts: dict[tuple[bytes, bytes], Sequence] = field(default_factory=dict)
    """Running sequences without output, by what precedes their tail and their encoded prompt."""
    _has_changed: bool = False
    """Whether anything has, since the last attempt to admit, that may admit a sequence."""
    _retry_at_s: float = 0.0

    def __post_init__(self) -> None:
        self.kv_cache = KvCacheManager(self.limits.kv_cache_tokens)

    @property
    def running(self) -> abc.Sequence[Sequence]:
        """The sequences with memory."""
        return [*self.prefilling, *self.decoding]

    @property
    def num_running(self) -> int:
        """Sequences with memory."""
        return len(self.prefilling) + len(self.decoding)

    @property
    def num_low_running(self) -> int:
        """Those of them that have low priority."""
        return self._low.num_running

    def can_ever_run(self, sequence: Sequence) -> bool:
        """Whether it would fit into an empty pool."""
        return sequence.num_prefix + sequence.tail_capacity <= self.limits.kv_cache_tokens

    def submit(self, sequence: Sequence) -> None:
        """Add a sequence that `can_ever_run` to the waiting ones."""
        assert self.can_ever_run(sequence)
        self._low.add(sequence)
        self._start_waiting(sequence)
        self._has_changed = True

    def schedule(self, now_s: float) -> StepPlan:
        """Return the next step, with the memory that it needs allocated."""
        self._grow(now_s)
        self._admit(now_s)
        decodes = [Chunk(s, (stop := s.num_tokens) - 1, stop) for s in self._to_decode()]
        prompts = sorted(self._by_priority(self.prefilling, now_s), key=lambda each: each.is_low)
        room = self._room(len(decodes))
        prefills = chunks_of(prompts, room)
        windows = windows_of(prompts, room, is_idle=not (decodes or prefills))
        return StepPlan(
            self.kv_cache.take_copies(), windows, [*decodes, *prefills], num_decoding=len(decodes)
        )

    def only_decodes(self, plan: StepPlan, now_s: float) -> bool:
        """Whether there is nothing to do but to decode the sequences that `plan` decodes."""
        if plan.num_decoding < len(plan.chunks) or self._is_admission_due(now_s):
            return False
        room = self._room(plan.num_decoding)
        if any(room.of(sequence).num_tokens for sequence in self.prefilling):
            return False
        if not self._low:
            return plan.num_decoding == len(self.decoding)
        return {chunk.sequence for chunk in plan.chunks} == set(self._to_decode())

    def reset_costs(self) -> None:
        """Forget what was measured of steps."""
        self.budget.reset()
        self.low_share = LowShare()

    def observe(self, plan: StepPlan, step_s: float, *, windows_s: float) -> None:
        """Learn from a step that took `step_s`, of which `windows_s` went to its windows."""
        self.budget.observe(
            step_s, num_decoding=plan.num_decoding, num_prefilled=plan.num_prefilled
        )
        self.low_share.observe(plan, step_s, windows_s=windows_s)

    def commit(
        self,
        plan: StepPlan,
        sampled: abc.Mapping[Sequence, int],
        *,
        now_s: float,
    ) -> list[Sequence]:
        """Record that a step was computed; return the sequences that are finished by it.

        `sampled` has a token id for each chunk with `is_sampled`.
        """
        for job in plan.windows:
            job.prefix.num_windows_ready = max(job.prefix.num_windows_ready, job.index + 1)
        for chunk in plan.chunks:
            self._mark_computed(chunk)
        finished = []
        for sequence, token in sampled.items():
            if sequence in self.prefilling:
                self._start_decoding(sequence)
            if _append(sequence, token):
                finished.append(sequence)
        for sequence in finished:
            if sequence.params.max_tokens > 1:  # one token says nothing of how long texts are
                self.growth.observe(len(sequence.output_ids))
            self.finish(sequence, now_s=now_s, is_kept=True)
        return finished

    def finish(self, sequence: Sequence, *, now_s: float, is_kept: bool = False) -> None:
        """Remove a sequence in whatever state; `is_kept` leaves its KV cached. Idempotent."""
        if sequence.state is SequenceState.FINISHED:
            return
        if sequence.state is SequenceState.WAITING:
            self._stop_waiting(sequence)
        else:
            self._stop_running(sequence)
        self._low.remove(sequence)
        sequence.state = SequenceState.FINISHED
        self.kv_cache.free(sequence, now_s=now_s, is_kept=is_kept)

    def num_low_windows(self) -> int:
        """Return how many windows of embeddings of low priority are encoded before a step."""
        live = PromptRoom(self.budget.max_tokens, self.limits.max_windows_per_step)
        return self.low_share.room(live, num_live=self._num_live, num_decoding=0).num_windows

    def observe_embedding(self, spent_s: float, *, is_low: bool) -> None:
        """Learn that windows of embeddings took `spent_s`, beside the steps."""
        if not (is_low and self.low_share.is_alone(self._num_live)):
            self.low_share.observe_embedding(spent_s, is_low=is_low)

    def _to_decode(self) -> abc.Collection[Sequence]:
        """Return the sequences that decode in the next step: of low priority only some."""
        if not self._low:
            return self.decoding
        low = [each for each in self.decoding if each.is_low]
        num_rows = self.low_share.num_rows(len(low), num_live=self._num_live_running)
        live = [each for each in self.decoding if not each.is_low]
        return [*live, *sorted(low, key=lambda each: each.number)[:num_rows]]

    def _room(self, num_decoding: int) -> StepRoom:
        """Return how much of prompts is computed beside `num_decoding` sequences."""
        num_tokens = self.budget.max_prefill_tokens(num_decoding)
        live = PromptRoom(num_tokens, self.limits.max_windows_per_step)
        if not self._low:
            return StepRoom(live)
        num_live = self._num_live_running
        return StepRoom(
            live, self.low_share.room(live, num_live=num_live, num_decoding=num_decoding)
        )

    @property
    def _num_live(self) -> int:
        return len(self.waiting) + self.num_running - len(self._low)

    @property
    def _num_live_running(self) -> int:
        return self.num_running - self._low.num_running

    def _mark_computed(self, chunk: Chunk) -> None:
        prefix = chunk.sequence.prefix
        if prefix is not None and not prefix.is_computed:
            self.kv_cache.record_computed(prefix, chunk.stop)
        else:
            chunk.sequence.num_tail_computed = chunk.stop - chunk.sequence.num_prefix

    def _admit(self, now_s: float) -> None:
        """Move waiting sequences to the running ones, as far as memory and batch size allow."""
        if not self._is_admission_due(now_s):
            return
        self._has_changed, self._retry_at_s = False, now_s + ADMISSION_RETRY_S
        self._low.promote_starved(now_s)
        num_growable = sum(each.num_growable for each in self.running)
        is_short = False
        for sequence in self._by_priority(self.waiting, now_s):
            is_junior, _ = sequence.seniority
            if (is_junior and is_short) or not self._has_place(sequence, now_s):
                break
            if self._is_being_computed(sequence):
                continue  # when it is computed, its KV is copied
            num_spare = self.growth.num_spare(self.limits.kv_cache_tokens, num_growable)
            if self._allocate(sequence, num_spare, now_s):
                num_growable += sequence.num_growable
                self._start_running(sequence)
            elif sequence.num_preemptions or self._may_preempt(sequence, now_s):
                break  # what becomes free is reserved for the one that has waited longest
            is_short = is_short or not (is_junior or sequence.state is SequenceState.RUNNING)

    def _is_admission_due(self, now_s: float) -> bool:
        if not self.waiting:
            return False
        num_live = len(self.waiting) - self._low.num_waiting
        is_full = self.num_running >= self.limits.max_num_seqs
        if is_full and not (num_live and self._low.num_running):
            return False
        return self._has_changed or now_s >= self._retry_at_s

    def _has_place(self, sequence: Sequence, now_s: float) -> bool:
        """Whether there is a place in the batch; a live sequence gets that of a low one."""
        if self.num_running < self.limits.max_num_seqs:
            return True
        is_junior, _ = sequence.seniority
        return not is_junior and self._preempt_junior(sequence, now_s, only_low=True)

    def _is_being_computed(self, sequence: Sequence) -> bool:
        """Whether another sequence computes the same prompt, and is not less urgent."""
        other = self._new_prompts.get(sequence.prompt_key)
        return other is not None and (sequence.is_low or not other.is_low)

    def _start_waiting(self, sequence: Sequence) -> None:
        self.waiting[sequence] = None
        self._low.num_waiting += sequence.is_low

    def _stop_waiting(self, sequence: Sequence) -> None:
        del self.waiting[sequence]
        self._low.num_waiting -= sequence.is_low

    def _start_running(self, sequence: Sequence) -> None:
        self._stop_waiting(sequence)
        sequence.state = SequenceState.RUNNING
        if sequence.num_pending == 1 and sequence.output_ids:
            self.decoding[sequence] = None
            return
        self.prefilling[sequence] = None
        if not sequence.output_ids and sequence.num_pending > 1:
            self._new_prompts[sequence.prompt_key] = sequence

    def _start_decoding(self, sequence: Sequence) -> None:
        self._stop_running(sequence)
        self.decoding[sequence] = None

    def _stop_running(self, sequence: Sequence) -> None:
        """Remove it from the running ones; memory or its prompt can now be used by others."""
        self._has_changed = True
        if sequence in self.decoding:
            del self.decoding[sequence]
            return
        del self.prefilling[sequence]
        if self._new_prompts.get(key := sequence.prompt_key) is sequence:
            del self._new_prompts[key]

    def _allocate(self, sequence: Sequence, num_spare: int, now_s: float) -> bool:
        num_tail, allocate = self._num_tail(sequence), self.kv_cache.allocate
        if allocate(sequence, num_tail=num_tail, now_s=now_s, num_spare=num_spare):
            return True
        only_low = not self._may_preempt(sequence, now_s)
        while self._preempt_junior(sequence, now_s, only_low=only_low):
            if allocate(sequence, num_tail=num_tail, now_s=now_s):
                return True
        return False

    def _num_tail(self, sequence: Sequence) -> int:
        """Return the slots that the tail of a sequence gets when it is admitted."""
        if sequence.is_fully_reserved:
            return sequence.tail_capacity
        num_known = sequence.num_tokens - sequence.num_prefix
        num_more = self.growth.num_reserved(len(sequence.output_ids))
        return min(num_known + num_more, sequence.tail_capacity)

    def _grow(self, now_s: float) -> None:
        """Give each decoding sequence a slot for its last token, the most senior first."""
        full = [s for s in self.decoding if s.num_tokens > s.num_slots]
        for sequence in sorted(full, key=lambda each: each.seniority):
            while sequence in self.decoding and not self._grow_tail(sequence):
                self._preempt_for(sequence, now_s)

    def _grow_tail(self, sequence: Sequence) -> bool:
        num_more = min(self.growth.num_grown(len(sequence.output_ids)), sequence.num_growable)
        num_less = min(self.growth.min_tokens, num_more)
        return self.kv_cache.grow(sequence, num_more) or self.kv_cache.grow(sequence, num_less)

    def _preempt_for(self, sequence: Sequence, now_s: float) -> None:
        """Preempt a junior sequence, or else `sequence` itself, whose tail cannot grow."""
        if not self._preempt_junior(sequence, now_s):
            sequence.is_fully_reserved = True
            self._preempt(sequence, now_s)

    def _may_preempt(self, sequence: Sequence, now_s: float) -> bool:
        return now_s - sequence.arrived_s >= self.limits.preempt_after_s

    def _preempt_junior(self, sequence: Sequence, now_s: float, *, only_low: bool = False) -> bool:
        """Preempt the most junior running sequence, if it is junior to `sequence`.

        Seniority is unique: of two sequences only the senior can ever preempt the other, so one
        of them always finishes. With `only_low` no live one is, nor one that is as low.
        """
        junior = max(self.running, key=lambda running: running.seniority, default=None)
        if junior is None or junior.seniority <= sequence.seniority:
            return False
        if only_low and junior.seniority[0] == sequence.seniority[0]:
            return False
        self._preempt(junior, now_s)
        return True

    def _preempt(self, sequence: Sequence, now_s: float) -> None:
        self._stop_running(sequence)
        self.kv_cache.free(sequence, now_s=now_s, is_kept=False)
        sequence.state = SequenceState.WAITING
        sequence.num_preemptions += 1
        sequence.waiting_since_s = now_s
        self.num_preemptions += 1
        self._start_waiting(sequence)

    def _by_priority(self, sequences: abc.Iterable[Sequence], now_s: float) -> list[Sequence]:
        def rank(sequence: Sequence) -> tuple[bool, bool, bool, float, int]:
            waited_s = now_s - sequence.arrived_s
            is_urgent = sequence.deadline_s - now_s < self.limits.ageing_s
            return (
                sequence.seniority[0],
                not sequence.num_preemptions,
                not is_urgent and waited_s < self.limits.priority_after_s,
                self._num_left(sequence) / (1 + waited_s / self.limits.ageing_s),
                sequence.number,
            )

        return sorted(sequences, key=rank)

    def _num_left(self, sequence: Sequence) -> int:
        """Return the tokens to compute before the next one, less what others have computed."""
        if sequence.prefix is not None:
            return sequence.num_pending
        shared = sequence.own_prefix and self.kv_cache.prefixes.get(sequence.own_prefix.key)
        num_computed = shared.num_computed if shared else 0
        return sequence.num_tokens - sequence.num_tail_computed - num_computed


def _append(sequence: Sequence, token: int) -> bool:
    """Add an output token; return whether it was the last."""
    sequence.output_ids.append(token)
    return token in sequence.stop_ids or len(sequence.output_ids) == sequence.params.max_tokens
