"""Run a step so that an error fails only the sequences that cause it.

How it works: an error is one of three kinds (`device_faults.py`). A lost device breaks the engine
at once. Where memory ran out, the failed step's tensors are freed, the same step is run in halves,
which fails no sequence, and later steps are planned as small (`smaller_steps.py`). If not even the
smallest step fits, the encoder caches are emptied. After any other error the windows and
chunks of the step are run again one by one, which writes the same KV once more, and only the
sequences that fail alone are failed; if none succeeds in `MAX_FAILED_STEPS` steps in a row, the
engine is broken.
"""

import functools
import traceback
from collections import abc
from dataclasses import dataclass
from typing import TypeVar

from flamingo_common.service import logs
from flamingo_pod.engine.device import device_faults, device_memory
from flamingo_pod.engine.device.device_faults import DeviceFault
from flamingo_pod.engine.model_runner.runner import (
    LaunchedStep,
    ModelRunner,
    SampleResult,
    SequenceInputs,
)
from flamingo_pod.engine.scheduling.memory import KvCopy
from flamingo_pod.engine.scheduling.scheduler import Scheduler
from flamingo_pod.engine.scheduling.sequence import Sequence
from flamingo_pod.engine.scheduling.smaller_steps import MIN_ROWS, halves, limits_below
from flamingo_pod.engine.scheduling.step_plan import StepPlan

MAX_FAILED_STEPS = 3
"""After so many steps in a row in which nothing succeeded, the engine is broken."""

Inputs = abc.Mapping[Sequence, SequenceInputs]
Results = dict[Sequence, SampleResult]

R = TypeVar("R")


class SequenceFailed(Exception):
    """The model failed on this sequence; others continue."""


class EngineBroken(Exception):
    """The engine fails on every sequence."""


@dataclass(slots=True)
class StepFaults:
    """Runs the steps of one engine."""

    runner: ModelRunner
    scheduler: Scheduler
    """Its limits are lowered where memory ran out."""
    fail: abc.Callable[[Sequence, Exception], None]
    """Called with a sequence that failed alone."""
    num_failed_steps: int = 0
    has_memory_ahead: bool = True
    """Whether a step may be launched ahead: none that was has run out of memory."""

    def attempt(
        self,
        plan: StepPlan,
        inputs: Inputs,
        launched: LaunchedStep | None = None,
        before_read: abc.Callable[[LaunchedStep], None] | None = None,
    ) -> tuple[Results, Exception | None]:
        """Return the results of a step, or the error, which no longer refers to any tensor.

        `launched` is the step, if it was launched before. `before_read` is called with it between
        its launch and its reading.
        """
        try:
            step = launched or self.runner.launch(plan, inputs)
            if before_read is not None:
                before_read(step)
            results = self.runner.read(step)
        except EngineBroken:
            raise
        except Exception as error:  # noqa: BLE001 - the caller decides by its kind
            _free_frames(error)
            return {}, error
        self.num_failed_steps = 0
        return results, None

    def launch_ahead(
        self, plan: StepPlan, inputs: Inputs, before: LaunchedStep
    ) -> LaunchedStep | None:
        """Launch a step before the one `before` it is read; None if it has to wait for that.

        Raises:
            EngineBroken: the device is lost.
        """
        try:
            return self.runner.launch(plan, inputs, before)
        except Exception as error:
            _free_frames(error)
            fault = device_faults.classify(error)
            if fault is DeviceFault.DEVICE_LOST:
                raise EngineBroken from error
            self.has_memory_ahead = fault is not DeviceFault.OUT_OF_MEMORY
            logs.get().warning("engine.step_ahead_failed", error=str(error))
            return None

    def recover(self, plan: StepPlan, inputs: Inputs, error: Exception) -> Results:
        """Run a step again that failed; return the results of the sequences that do not fail.

        Raises:
            EngineBroken: the device is lost, the smallest step does not fit, or nothing has
                succeeded in `MAX_FAILED_STEPS` steps in a row.
        """
        results = self._recover(plan, inputs, error)
        if is_out_of_memory(error):
            limits, budget = self.scheduler.limits, self.scheduler.budget
            logs.get().warning(
                "engine.out_of_memory",
                max_windows=limits.max_windows_per_step,
                max_prefill_tokens=budget.max_tokens,
                max_num_seqs=limits.max_num_seqs,
            )
        return results

    def copy(self, plan: StepPlan) -> StepPlan:
        """Execute a step's copies; return the rest of it.

        One by one: repeated, they could copy from what they have overwritten.

        Raises:
            EngineBroken: the device is lost, or not even a few tokens can be copied.
        """
        if not plan.copies:
            return plan
        for each in plan.copies:
            self._copy(each)
        return StepPlan((), plan.windows, plan.chunks, plan.num_decoding)

    def _copy(self, copy: KvCopy) -> None:
        """Execute a copy, in halves if its buffer does not fit: then nothing is written yet."""
        run = functools.partial(self.runner.pool.copy, [copy])
        is_smallest = copy.num_tokens <= MIN_ROWS
        try:
            if is_smallest:
                retried(run, self.runner.encoder.free_device_memory)
            else:
                run()
        except Exception as error:
            _free_frames(error)
            if is_smallest or not is_out_of_memory(error):
                raise EngineBroken from error
        else:
            return
        device_memory.release_unused()
        for half in copy.halves():
            self._copy(half)

    def _recover(self, plan: StepPlan, inputs: Inputs, error: Exception) -> Results:
        match device_faults.classify(error):
            case DeviceFault.DEVICE_LOST:
                raise EngineBroken from error
            case DeviceFault.OUT_OF_MEMORY:
                return self._run_in_halves(plan, inputs, error)
            case DeviceFault.OTHER:
                return self._run_isolated(plan, inputs, error)

    def _run_in_halves(self, plan: StepPlan, inputs: Inputs, error: Exception) -> Results:
        device_memory.release_unused()
        if not (parts := halves(plan)):
            return self._run_smallest(plan, inputs, error)
        self._plan_below(plan)
        results: Results = {}
        for part in parts:
            computed, failure = self.attempt(part, inputs)
            results |= computed if failure is None else self._recover(part, inputs, failure)
        return results

    def _run_smallest(self, plan: StepPlan, inputs: Inputs, error: Exception) -> Results:
        """Run a step that cannot be divided again, and again without the encoder's caches."""
        results, failure = self.attempt(plan, inputs)
        if is_out_of_memory(failure) and self.runner.encoder.free_device_memory():
            device_memory.release_unused()
            results, failure = self.attempt(plan, inputs)
        if failure is None:
            return results
        if is_out_of_memory(failure):
            raise EngineBroken from error
        return self._recover(plan, inputs, failure)

    def _plan_below(self, plan: StepPlan) -> None:
        """Plan smaller steps than `plan` from now on."""
        scheduler, budget = self.scheduler, self.scheduler.budget
        scheduler.limits, budget.max_tokens = limits_below(plan, scheduler.limits, budget)

    def _run_isolated(self, plan: StepPlan, inputs: Inputs, error: Exception) -> Results:
        """Run the parts of a failed step one by one; fail the sequences that fail alone."""
        results: Results = {}
        parts = [(job.sequence, StepPlan(windows=[job])) for job in plan.windows]
        parts += [(chunk.sequence, StepPlan(chunks=[chunk])) for chunk in plan.chunks]
        num_failed = 0
        for sequence, part in parts:
            computed, alone = self.attempt(part, inputs)
            if alone is None:
                results |= computed
            elif device_faults.classify(alone) is not DeviceFault.OTHER:
                results |= self._recover(part, inputs, alone)
            else:
                self.fail(sequence, _sequence_failed(alone))
                num_failed += 1
        if num_failed == len(parts):
            self.num_failed_steps += 1
        if self.num_failed_steps >= MAX_FAILED_STEPS:
            raise EngineBroken from error
        return results


def is_out_of_memory(error: Exception | None) -> bool:
    """Whether memory of the device ran out."""
    return device_faults.classify(error) is DeviceFault.OUT_OF_MEMORY


def retried(run: abc.Callable[[], R], free_more: abc.Callable[[], bool]) -> R:
    """Return what `run` returns, which is run again where memory runs out.

    Once after what it had allocated was freed, and once more if `free_more` has freed anything.

    Raises:
        Exception: that of the last run.
    """
    ways: abc.Sequence[abc.Callable[[], bool]] = (lambda: True, free_more)
    for free in ways:
        try:
            return run()
        except Exception as error:
            _free_frames(error)
            if not is_out_of_memory(error) or not free():
                raise
        device_memory.release_unused()
    return run()


def _sequence_failed(cause: Exception) -> SequenceFailed:
    failed = SequenceFailed(str(cause))
    failed.__cause__ = cause  # for the log
    return failed


def _free_frames(error: BaseException | None) -> None:
    """Free the local variables of the calls that failed: a step's tensors, which keep memory."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__
