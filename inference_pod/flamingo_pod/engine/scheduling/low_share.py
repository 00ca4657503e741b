"""How much work of low priority a step does: beside live requests a share, alone a bounded amount.

How it works: requests of high and normal priority are *live*. Beside them work of low priority may
make steps longer by `TIME_PER_LIVE_S` of what the live work takes, an eighth of the engine's time.

- As many of its rows decode in every step as that share pays for at the learned cost of a row
  (`step_costs.py`): on a GPU nearly always all, since one more row costs next to nothing; on a CPU
  few. Which these are changes only with the costs, so that steps can still be launched ahead.
- What the share leaves is saved up, and spent on its prompts, in turns of about `TURN_S`. One turn
  is at least one window or a few tokens, whatever that costs; what exceeds the savings is a debt
  that is paid before the next turn. If the share pays for no row, one decodes in the same way.

Savings and debts are void when there is no live work: a live request finds no savings.

vLLM's priorities are strict: while more important requests keep the engine busy, others never run.
Ours have a share, since a batch that has been accepted has a time in which it must be finished.

A step of low priority alone is short, so that a live request that comes meanwhile waits for
little: about `ALONE_S`, or the time of `ALONE_DECODES` steps that decode one row, which is longer
where reading the weights takes long. Then that fixed cost is a ninth of the step, so a batch loses
little.

Pure.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from flamingo_pod.engine.costs.step_costs import LearnedCosts
from flamingo_pod.engine.scheduling.prefill import NO_ROOM, PromptRoom
from flamingo_pod.engine.scheduling.step_plan import StepPlan

TIME_PER_LIVE_S = 1 / 7
"""Seconds of low priority for one of live work: an eighth of both. Half of what a live request may
take longer beside a batch (1.3 times); the rest is the wait for the step in which it arrives."""
TURN_S = 0.05
"""Of prompts of low priority in one step beside live work: the target of the inter-token
latency."""
ALONE_S = 0.05
ALONE_DECODES = 8
MIN_TOKENS = 256
"""Of a prompt in a step of low priority alone: smaller matrix products waste a CPU."""


class StepWork(NamedTuple):
    """What a step computes for requests of one kind."""

    num_windows: int = 0
    num_decoding: int = 0
    num_tokens: int = 0
    """Prompt tokens."""

    @property
    def is_empty(self) -> bool:
        """Whether that is nothing."""
        return not any(self)

    def seconds(self, costs: LearnedCosts) -> float:
        """Return by how much it makes a step longer that has other rows."""
        return (
            self.num_windows * costs.window_s
            + self.num_decoding * costs.row_s
            + self.num_tokens * costs.token_s
        )


def work_of(plan: StepPlan, *, is_low: bool) -> StepWork:
    """Return the part of a plan that is live work, or of low priority."""
    chunks = [chunk for chunk in plan.chunks if chunk.sequence.is_low is is_low]
    num_decoding = sum(c.sequence.is_low is is_low for c in plan.chunks[: plan.num_decoding])
    num_rows = sum(chunk.num_tokens for chunk in chunks)
    num_windows = sum(job.sequence.is_low is is_low for job in plan.windows)
    return StepWork(num_windows, num_decoding, num_rows - num_decoding)


@dataclass(slots=True)
class LowShare:
    """The savings of low priority, and what they pay for."""

    costs: LearnedCosts = field(default_factory=LearnedCosts)
    saved_s: float = 0.0
    has_live_embeddings: bool = False
    """Whether embeddings are computed for live requests, beside the steps."""

    def num_rows(self, num_low: int, *, num_live: int) -> int:
        """Return how many of `num_low` sequences decode in a step; `num_live` live ones run."""
        row_s = self.costs.row_s
        if self.is_alone(num_live):
            fitting = _fitting(self._alone_s - self.costs.decode_s(0), row_s)
            return min(num_low, fitting)
        if not num_live:
            return num_low if self.saved_s >= TURN_S else 0
        share_s = TIME_PER_LIVE_S * self.costs.decode_s(num_live)
        if share_s >= row_s:
            return min(num_low, _fitting(share_s, row_s))
        return min(num_low, int(self.saved_s >= min(row_s, TURN_S)))

    def room(self, live: PromptRoom, *, num_live: int, num_decoding: int) -> PromptRoom:
        """Return how much of prompts of low priority a step computes: no more than of `live`.

        `num_live` is how many live sequences run, `num_decoding` how many rows the step has.
        """
        if not self.is_alone(num_live):
            return self._fitting(TURN_S, live) if self.saved_s >= TURN_S else NO_ROOM
        decode_s = self.costs.decode_s(num_decoding) if num_decoding else 0.0
        room = self._fitting(max(self._alone_s - decode_s, 0.0), live)
        return room._replace(num_tokens=max(room.num_tokens, min(MIN_TOKENS, live.num_tokens)))

    def is_alone(self, num_live: int) -> bool:
        """Whether there is no live work while `num_live` live sequences run."""
        return not num_live and not self.has_live_embeddings

    def observe(self, plan: StepPlan, step_s: float, *, windows_s: float) -> None:
        """Save the share of a step that took `step_s`, and pay for what it did of low priority.

        `windows_s` of it went to its windows.
        """
        live, low = (work_of(plan, is_low=is_low) for is_low in (False, True))
        self.costs.observe_windows(windows_s, len(plan.windows))
        self.costs.observe_rows(
            max(step_s - windows_s, 0.0),
            num_decoding=plan.num_decoding,
            num_tokens=plan.num_prefilled,
        )
        if live.is_empty and not self.has_live_embeddings:
            self.saved_s = 0.0
            return
        low_s = step_s if live.is_empty else min(low.seconds(self.costs), step_s)
        self._account(live_s=step_s - low_s, low_s=low_s)

    def observe_embedding(self, spent_s: float, *, is_low: bool) -> None:
        """Save the share of windows that took `spent_s`, or pay for them."""
        self._account(live_s=0.0 if is_low else spent_s, low_s=spent_s if is_low else 0.0)

    def _account(self, *, live_s: float, low_s: float) -> None:
        self.saved_s = min(self.saved_s + TIME_PER_LIVE_S * live_s - low_s, TURN_S)

    def _fitting(self, seconds: float, most: PromptRoom) -> PromptRoom:
        return PromptRoom(
            min(_fitting(seconds, self.costs.token_s), most.num_tokens),
            min(_fitting(seconds, self.costs.window_s), most.num_windows),
        )

    @property
    def _alone_s(self) -> float:
        return max(ALONE_S, ALONE_DECODES * self.costs.decode_s(1))


def _fitting(seconds: float, unit_s: float) -> int:
    """Return how many units take `seconds`, at least one."""
    return max(int(min(seconds / unit_s, 1e9)), 1) if unit_s else 10**9
