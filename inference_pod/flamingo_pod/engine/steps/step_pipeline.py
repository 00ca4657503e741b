"""Runs steps so that, where possible, the next one is launched before a step is read.

vLLM calls this asynchronous scheduling. At most one step is ahead, and it only repeats the one
before it (`repetition.py`). Its rows of sequences that turn out to have ended, whose token was
corrected, or whose token began a call that a grammar constrains, are void: nothing of them is
committed, and the slots they wrote are written again or free. Whatever is launched later runs
behind it on the device, so a freed slot can be used at once.
"""

import functools
from collections import abc
from dataclasses import dataclass, field, replace

from flamingo_pod.engine.model_runner.runner import LaunchedStep
from flamingo_pod.engine.sampling.results import SampledToken
from flamingo_pod.engine.scheduling.sequence import Sequence, SequenceState
from flamingo_pod.engine.scheduling.step_plan import StepPlan
from flamingo_pod.engine.steps.repetition import as_read, repeated
from flamingo_pod.engine.steps.step_faults import Inputs, Results, StepFaults


@dataclass(slots=True)
class _StepAhead:
    plan: StepPlan
    step: LaunchedStep
    void: abc.Set[Sequence] = frozenset()
    """Sequences whose token it got was not the one that was read."""

    def remaining(self) -> StepPlan:
        """Return the part of its plan that is not void."""
        chunks = [as_read(chunk) for chunk in self.plan.chunks if self._is_valid(chunk.sequence)]
        return replace(self.plan, chunks=chunks, num_decoding=len(chunks))

    def _is_valid(self, sequence: Sequence) -> bool:
        is_free = sequence.num_free >= 1  # or the token before it began what is constrained
        return is_free and sequence.state is SequenceState.RUNNING and sequence not in self.void


@dataclass(slots=True)
class StepPipeline:
    """The steps of one engine."""

    faults: StepFaults
    is_asynchronous: bool
    """Whether a step may be launched ahead."""
    _ahead: _StepAhead | None = None
    _current: _StepAhead | None = field(default=None, init=False)
    """The step that was ahead, and is to be read now."""

    def next_plan(self, schedule: abc.Callable[[], StepPlan]) -> StepPlan:
        """Return the plan of the step that was launched ahead, or else that of `schedule`."""
        self._current, self._ahead = self._ahead, None
        if self._current is not None and not (plan := self._current.remaining()).is_empty:
            return plan
        self._current = None
        return schedule()

    def run(self, plan: StepPlan, inputs: Inputs, *, may_repeat: bool) -> Results:
        """Compute the step that `next_plan` returned; return the results of its sequences.

        `may_repeat` is whether nothing but another step of the same sequences is to be done: none
        that decodes may be missing from `plan`, as one whose token was corrected is, or it would
        wait until another one ends.

        Raises:
            EngineBroken: the device is lost or too small, or every sequence fails.
        """
        plan = self.faults.copy(plan)
        launched = self._current.step if self._current is not None else None
        launch_next = functools.partial(self._launch_next, plan, inputs)
        is_ahead = may_repeat and self.is_asynchronous and self.faults.has_memory_ahead
        before_read = launch_next if is_ahead else None
        results, error = self.faults.attempt(plan, inputs, launched, before_read)
        self._current = launched = None
        if error is not None:  # their tensors are freed before the step is run again
            self._ahead = None
            results = self.faults.recover(plan, inputs, error)
        if self._ahead is not None:
            self._ahead.void = {one for one, result in results.items() if _is_corrected(result)}
        planned = {chunk.sequence for chunk in plan.chunks}
        return {one: result for one, result in results.items() if one in planned}

    def _launch_next(self, plan: StepPlan, inputs: Inputs, step: LaunchedStep) -> None:
        following = repeated(plan)
        if following is not None:
            launched = self.faults.launch_ahead(following, inputs, step)
            self._ahead = None if launched is None else _StepAhead(following, launched)


def _is_corrected(result: object) -> bool:
    return isinstance(result, SampledToken) and result.is_corrected
