"""Rules of admission: whether a pod accepts a request, and the error if it does not.

Pure.
"""

from dataclasses import dataclass, replace

from flamingo_common.errors import DeadlineExceeded, FlamingoError, Overloaded

LOW_ANSWERS_SHARE = 0.75
"""The part of all answers in flight from which on those of low priority are refused. The rest is
for live requests, which would otherwise be refused where a batch has filled a pod."""


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much a pod accepts."""

    max_concurrent_answers: int
    max_backlog_s: float

    def for_low(self) -> "AdmissionLimits":
        """Return the limits of a request of low priority."""
        num_answers = max(int(LOW_ANSWERS_SHARE * self.max_concurrent_answers), 1)
        return replace(self, max_concurrent_answers=num_answers)


@dataclass(frozen=True, slots=True)
class PodLoad:
    """What a pod has in flight."""

    num_answers: int
    """Answers running or waiting, each choice of a request counted."""
    backlog_s: float
    """Predicted seconds until they are all done."""


def request_rejection(
    limits: AdmissionLimits, load: PodLoad, *, until_deadline_s: float
) -> FlamingoError | None:
    """Return why a new request is rejected, or None if it is admitted."""
    if load.num_answers >= limits.max_concurrent_answers:
        return Overloaded(
            f"the pod is at capacity: {load.num_answers} answers are in flight"
            f" (limit: {limits.max_concurrent_answers}); retry later",
            retry_after_s=load.backlog_s,
        )
    if load.backlog_s > limits.max_backlog_s:
        return Overloaded(
            f"the pod is at capacity: {load.backlog_s:.0f} s of work is queued"
            f" (limit: {limits.max_backlog_s:g} s); retry later",
            retry_after_s=load.backlog_s - limits.max_backlog_s,
        )
    if load.backlog_s > until_deadline_s:
        return DeadlineExceeded(
            f"{load.backlog_s:.1f} s of work is queued ahead; the deadline cannot be met"
        )
    return None


def choices_rejection(
    limits: AdmissionLimits, load: PodLoad, num_choices: int
) -> FlamingoError | None:
    """Return why an admitted request may not have `num_choices`, or None if it may.

    `load` includes the request itself, as one answer.
    """
    num_answers = load.num_answers - 1 + num_choices
    if num_choices == 1 or num_answers <= limits.max_concurrent_answers:
        return None
    return Overloaded(
        f"the pod is at capacity: with {num_choices} choices {num_answers} answers would be in"
        f" flight (limit: {limits.max_concurrent_answers}); retry later, or lower n",
        retry_after_s=load.backlog_s,
    )
