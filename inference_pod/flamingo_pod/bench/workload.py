"""The workload: clips, questions, answer lengths and arrival times.

Pure: the same plan always gives the same workload. A clip is only a duration here;
`synthetic_audio` makes its samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from flamingo_pod.text.prompt import Turn

Kind = Literal["staggered", "at-once", "repeated", "equal"]
KINDS: tuple[Kind, ...] = get_args(Kind)
QUESTIONS = (
    "What is the tempo of this song?",
    "Which instruments play, and when does each of them come in?",
    "Describe the mood.",
    "Write a caption for this piece: genre, key, instruments, mood and form, one sentence each.",
    "Is there a voice?",
    "How does the harmony move between the first and the second half?",
)
ANSWERS = ("About ninety beats a minute.", "A guitar, then drums.", "It is calm, and a little sad.")
NUM_FOLLOW_UPS = 3
FOLLOW_UP_CLIP_S = 70.0
WARM_UP_CLIP_S = 2.0


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Both ends are included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WorkloadSize:
    """Ranges that clips, answers and arrivals are sampled from."""

    clip_s: ValueRange
    answer_tokens: ValueRange
    mean_gap_s: float
    """Between two arrivals; far below what a request costs, so the engines are always busy."""


WORKLOAD_SIZES: Mapping[bool, WorkloadSize] = {
    False: WorkloadSize(ValueRange(4, 40), ValueRange(16, 128), mean_gap_s=0.25),
    True: WorkloadSize(ValueRange(1, 34), ValueRange(4, 12), mean_gap_s=0.01),
}
"""By whether the plan is quick."""
EQUAL = WorkloadSize(ValueRange(30, 30), ValueRange(64, 64), mean_gap_s=0.0)


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """A workload's parameters, as on the command line."""

    kind: Kind
    num_clips: int
    num_questions: int
    """Per clip; more than one only for `repeated`."""
    arrival_scale: float
    seed: int
    quick: bool


@dataclass(frozen=True, slots=True)
class WorkloadRequest:
    """One question about one clip."""

    number: int
    clip: int
    turns: tuple[Turn, ...]
    num_tokens: int
    """The exact length of the answer."""
    arrival_s: float = 0.0
    after: int | None = None
    """The request whose answer must be complete before this one is sent."""


@dataclass(frozen=True, slots=True)
class Workload:
    """`clips_s` are the durations of the measured clips, of the follow-ups' and the warm-up's."""

    clips_s: tuple[float, ...]
    requests: tuple[WorkloadRequest, ...]
    follow_ups: tuple[WorkloadRequest, ...]
    """A first question and its follow-ups, about a clip of their own."""
    warm_up: WorkloadRequest


def build(plan: WorkloadPlan) -> Workload:
    """Return the workload that `plan` describes."""
    rng = np.random.default_rng(plan.seed)
    size = EQUAL if plan.kind == "equal" else WORKLOAD_SIZES[plan.quick]
    clips_s = [_length_s(rng, size.clip_s) for _ in range(plan.num_clips)]
    gaps_s = rng.exponential(size.mean_gap_s * plan.arrival_scale, plan.num_clips)
    arrivals_s = np.cumsum(gaps_s) - gaps_s[0] if plan.kind == "staggered" else gaps_s * 0
    requests = [
        _request(rng, size, (clip, turn), plan.num_clips, float(arrivals_s[clip]))
        for turn in range(plan.num_questions)
        for clip in range(plan.num_clips)
    ]
    return Workload(
        clips_s=(*clips_s, FOLLOW_UP_CLIP_S, WARM_UP_CLIP_S),
        requests=tuple(requests),
        follow_ups=_follow_ups(plan.num_clips),
        warm_up=WorkloadRequest(0, plan.num_clips + 1, conversation(0, 0), num_tokens=4),
    )


def conversation(first: int, num_before: int) -> tuple[Turn, ...]:
    """Return a chat whose last question comes after `num_before` questions and answers.

    The answers are fixed, not the engine's own, so all engines get the same prompts.
    """
    turns = []
    for number in range(num_before + 1):
        question = QUESTIONS[(first + number) % len(QUESTIONS)]
        turns.append(Turn("user", question, has_audio=number == 0))
        turns.append(Turn("assistant", ANSWERS[(first + number) % len(ANSWERS)]))
    return tuple(turns[:-1])


def _request(
    rng: np.random.Generator,
    size: WorkloadSize,
    place: tuple[int, int],
    num_clips: int,
    arrival_s: float,
) -> WorkloadRequest:
    clip, turn = place
    number = turn * num_clips + clip
    low, high = size.answer_tokens.low, size.answer_tokens.high
    return WorkloadRequest(
        number=number,
        clip=clip,
        turns=conversation(clip, turn),
        num_tokens=int(rng.integers(int(low), int(high) + 1)),
        arrival_s=arrival_s if turn == 0 else 0.0,
        after=number - num_clips if turn else None,
    )


def _follow_ups(clip: int) -> tuple[WorkloadRequest, ...]:
    numbers = range(NUM_FOLLOW_UPS + 1)
    return tuple(WorkloadRequest(n, clip, conversation(n, 0), num_tokens=4) for n in numbers)


def _length_s(rng: np.random.Generator, clip_s: ValueRange) -> float:
    """Return a duration in tenths: transformers fails on a last window of 20 ms or less."""
    return round(float(rng.uniform(clip_s.low, clip_s.high)), 1)
