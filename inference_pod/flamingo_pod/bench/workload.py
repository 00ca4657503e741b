"""What the engines are asked: which clips, which questions, how long the answers, when.

Pure: the same plan gives the same workload, whoever runs it. Clips are given by
their length here; `sound` makes them.
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
SAID = ("About ninety beats a minute.", "A guitar, then drums.", "It is calm, and a little sad.")
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
    """How much of it there is."""

    clip_s: ValueRange
    answer_tokens: ValueRange
    mean_gap_s: float
    """Between two arrivals. Far below what a request costs, so that the engines are kept busy."""


WORKLOAD_SIZES: Mapping[bool, WorkloadSize] = {
    False: WorkloadSize(ValueRange(4, 40), ValueRange(16, 128), mean_gap_s=0.25),
    True: WorkloadSize(ValueRange(1, 34), ValueRange(4, 12), mean_gap_s=0.01),
}
"""By whether it is quick."""
EQUAL = WorkloadSize(ValueRange(30, 30), ValueRange(64, 64), mean_gap_s=0.0)


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """What is chosen on the command line of a workload."""

    kind: Kind
    num_clips: int
    num_questions: int
    """About each clip; more than one only where the audio is repeated."""
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
    """The answer's exact length: end-of-sequence is an ordinary token here."""
    arrival_s: float = 0.0
    after: int | None = None
    """The request whose answer must be complete before this one can be asked."""


@dataclass(frozen=True, slots=True)
class Workload:
    """`clips_s` holds the measured clips, then the follow-ups' clip, then the warm-up's."""

    clips_s: tuple[float, ...]
    requests: tuple[WorkloadRequest, ...]
    follow_ups: tuple[WorkloadRequest, ...]
    """A first question and the further ones, about a clip that is in no other request."""
    warm_up: WorkloadRequest


def build(plan: WorkloadPlan) -> Workload:
    """Return the workload that `plan` describes."""
    random = np.random.default_rng(plan.seed)
    size = EQUAL if plan.kind == "equal" else WORKLOAD_SIZES[plan.quick]
    clips_s = [_length_s(random, size.clip_s) for _ in range(plan.num_clips)]
    gaps_s = random.exponential(size.mean_gap_s * plan.arrival_scale, plan.num_clips)
    arrivals_s = np.cumsum(gaps_s) - gaps_s[0] if plan.kind == "staggered" else gaps_s * 0
    requests = [
        _request(random, size, (clip, turn), plan.num_clips, float(arrivals_s[clip]))
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
    """Return a chat whose last question has `num_before` questions and answers before it.

    The answers are set, not the engine's own: so all engines read the same prompts.
    """
    turns = []
    for number in range(num_before + 1):
        asked = QUESTIONS[(first + number) % len(QUESTIONS)]
        turns.append(Turn("user", asked, has_audio=number == 0))
        turns.append(Turn("assistant", SAID[(first + number) % len(SAID)]))
    return tuple(turns[:-1])


def _request(
    random: np.random.Generator,
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
        num_tokens=int(random.integers(int(low), int(high) + 1)),
        arrival_s=arrival_s if turn == 0 else 0.0,
        after=number - num_clips if turn else None,
    )


def _follow_ups(clip: int) -> tuple[WorkloadRequest, ...]:
    numbers = range(NUM_FOLLOW_UPS + 1)
    return tuple(WorkloadRequest(n, clip, conversation(n, 0), num_tokens=4) for n in numbers)


def _length_s(random: np.random.Generator, clip_s: ValueRange) -> float:
    """Return a length in whole tenths: transformers fails on a last window of 20 ms or less."""
    return round(float(random.uniform(clip_s.low, clip_s.high)), 1)
