"""A scheduler with a fake model that computes what it plans, and checks what it would read."""

import itertools
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.budget import TokenBudget
from flamingo_pod.engine.scheduling.growth import GrowthPolicy
from flamingo_pod.engine.scheduling.scheduler import Scheduler, SchedulerLimits
from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence, SequenceState

EOS = 0
POOL = 600
WINDOWS = {b"a": [30], b"b": [30, 30, 11], b"c": [30] * 6, b"d": [3]}
"""A clip's windows are the clip's: equal keys have equal ones."""


def sequence(
    number, num_prompt=10, max_tokens=5, *, arrived_s=0.0, clip=None, ids=None, is_low=False
):
    """Return a sequence; `clip` is `(key, tokens of its windows)` at the prompt's start."""
    prefix = None
    if clip is not None:
        key, tokens = clip
        prefix = Prefix(key, num_tokens=2 + sum(tokens), audio_start=2, window_tokens=tokens)
        num_prompt += prefix.num_tokens
    return Sequence(
        number=number,
        prompt_ids=np.array(ids or range(1, num_prompt + 1), np.int32),
        params=SamplingParams(max_tokens=max_tokens),
        arrived_s=arrived_s,
        own_prefix=prefix,
        eos_ids={EOS},
        is_low=is_low,
    )


@dataclass(frozen=True)
class Machine:
    """How long a step takes: a fixed time, and more for each row and window."""

    step_s: float = 0.01
    row_s: float = 0.0
    token_s: float = 0.0001
    window_s: float = 0.01

    def rows_s(self, plan):
        return self.step_s + self.row_s * plan.num_decoding + self.token_s * plan.num_prefilled

    def windows_s(self, plan):
        return self.window_s * len(plan.windows)


class World:
    """A scheduler, and the KV that a model would have written: which token stands where."""

    def __init__(self, growth=None, **limits):
        fields = {"kv_cache_tokens": POOL, "max_num_seqs": 64, "max_windows_per_step": 2}
        self.scheduler = Scheduler(SchedulerLimits(**(fields | limits)))
        self.scheduler.budget = TokenBudget(min_tokens=1, max_tokens=50)
        self.scheduler.growth = growth or GrowthPolicy()
        self.kv = [None] * self.scheduler.limits.kv_cache_tokens
        self.now_s = 0.0
        self.num_moves = 0
        self.costs = Machine()
        self.step_s = 0.0
        self.numbers = itertools.count()
        self.submitted: list[Sequence] = []
        self.finished: list[Sequence] = []

    def submit(self, **kinds):
        made = sequence(next(self.numbers), arrived_s=self.now_s, **kinds)
        if self.scheduler.can_ever_run(made):
            self.scheduler.submit(made)
            self.submitted.append(made)
        return made

    def step(self, token=lambda _: 7):
        senior = min(self.scheduler.running, key=lambda s: s.seniority, default=None)
        plan = self.scheduler.schedule(self.now_s)
        self.check_extents()
        self.check_senior(senior)
        self.num_moves += len(plan.copies)
        self.copy(plan)
        for chunk in plan.chunks:
            self.write(chunk)
        sampled = {c.sequence: token(c.sequence) for c in plan.chunks if c.is_sampled}
        self.finished += self.scheduler.commit(plan, sampled, now_s=self.now_s)
        windows_s, rest_s = self.costs.windows_s(plan), self.costs.rows_s(plan)
        self.step_s = windows_s + rest_s
        self.scheduler.low_share.observe(plan, self.step_s, windows_s=windows_s)
        self.now_s += 0.1
        return plan

    def copy(self, plan):
        for copy in plan.copies:
            self.kv[copy.target : copy.target + copy.num_tokens] = self.kv[
                copy.source : copy.source + copy.num_tokens
            ]

    def write(self, chunk):
        """Write the chunk's tokens where they belong, and check all that stands before them."""
        slots = self.slots(chunk.sequence)
        ids = chunk.sequence.ids(0, chunk.sequence.num_tokens).tolist()
        if chunk.sequence.prefix and not chunk.sequence.prefix.is_computed:
            assert chunk.stop <= chunk.sequence.prefix.num_ready
        for at in range(chunk.start):
            assert self.kv[slots[at]] == ids[at], "attention would read another's KV"
        for at in range(chunk.start, chunk.stop):
            self.kv[slots[at]] = ids[at]

    def slots(self, running):
        prefix = running.prefix.extent if running.prefix else None
        start = list(range(prefix.start, prefix.stop)) if prefix else []
        return start + list(range(running.tail.start, running.tail.stop))

    def check_extents(self):
        kv_cache = self.scheduler.kv_cache
        for running in self.scheduler.running:
            assert running.num_tokens <= running.num_slots
            assert running.num_slots == running.num_prefix + running.tail.length
            assert running.num_growable >= 0
        extents = [s.tail for s in self.scheduler.running]
        extents += [p.extent for p in self.prefixes()]
        extents += [tail.extent for tail in kv_cache.cached_tails]
        extents = sorted(extent for extent in extents if extent.length)
        assert all(a.stop <= b.start for a, b in itertools.pairwise(extents)), "extents overlap"
        assert kv_cache.pool.num_free == len(self.kv) - sum(e.length for e in extents), (
            "extents leak"
        )
        users = {id(p): 0 for p in self.prefixes()}
        for running in self.scheduler.running:
            if running.prefix is not None:
                users[id(running.prefix)] += 1
        assert all(users[id(p)] == p.num_users for p in self.prefixes())

    def check_senior(self, senior):
        """Check that the most senior one is preempted only to get all that it may need."""
        if senior is not None and senior.state is SequenceState.WAITING:
            others = [s for s in self.scheduler.running if s.seniority < senior.seniority]
            assert senior.is_fully_reserved or others

    def prefixes(self):
        """Return the prefixes that can be shared, and those that are only still in use."""
        used = [s.prefix for s in self.scheduler.running if s.prefix is not None]
        return {id(p): p for p in (*self.scheduler.kv_cache.prefixes.values(), *used)}.values()

    def act(self, action, made, data):
        match action:
            case dict():
                clip = action["clip"] and (action["clip"][0], WINDOWS[action["clip"][0]])
                made.append(self.submit(**(action | {"clip": clip})))
            case int():
                for _ in range(action):
                    self.step(lambda s: EOS if (s.number + len(s.output_ids)) % 11 == 0 else 7)
            case float():
                self.now_s += action
            case ("cancel", number) if number < len(made):
                self.cancel(made[number], is_kept=data.draw(st.booleans()))
            case ("poison", number) if number < len(made):
                if made[number].prefix is not None:
                    self.scheduler.kv_cache.invalidate(made[number].prefix)
                self.cancel(made[number], is_kept=False)

    def cancel(self, left, *, is_kept):
        if left in self.scheduler.waiting or left in self.scheduler.running:
            self.scheduler.finish(left, now_s=self.now_s, is_kept=is_kept)

    def drain(self, max_steps=10000):
        for _ in range(max_steps):
            if not (self.scheduler.waiting or self.scheduler.running):
                return
            self.step()
        raise AssertionError("it never ends")
