"""Fits the temperature at which the probabilities of answers come true (Guo et al. 2017).

The log-likelihood of the right answers is concave in 1 / temperature, so its only maximum is found
by bisection. What the fit is worth is judged by cross-validation: questions about one clip are in
one fold, so no answer is judged at a temperature that its clip had a part in.

Pure.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flamingo.commands.quizzes import quiz_metrics
from flamingo.commands.quizzes.quiz_metrics import Answered
from flamingo_common.errors import BadRequest
from flamingo_common.wire.decision_temperature import MIN_PROBABILITY, tempered

MIN_EXAMPLES = 100
"""Of one temperature; with fewer, chance decides it."""
MIN_CLIPS = 10
NUM_FOLDS = 5
LEAST, MOST = 0.05, 20.0
"""Temperatures that are looked for."""
MARGIN = 0.01
NUM_STEPS = 60
"""Of bisection: more than a float has digits for."""


@dataclass(frozen=True)
class Quality:
    """How well probabilities come true; for both, less is better."""

    negative_log_likelihood: float
    expected_calibration_error: float


@dataclass(frozen=True)
class Fit:
    """Temperatures, and what they are worth."""

    num_examples: int
    num_clips: int
    temperature: float
    """Of all answers together."""
    temperatures: Mapping[str, float]
    """Of the categories with enough examples."""
    before: Quality
    after: Quality
    """By cross-validation."""


def fit(answers: Sequence[Answered]) -> Fit:
    """Return the temperatures for all answers and for their categories.

    Raises:
        BadRequest: there are too few examples, or no temperature is best, as where all are right.
    """
    num_clips = len({each.clip for each in answers})
    if len(answers) < MIN_EXAMPLES or num_clips < MIN_CLIPS:
        raise BadRequest(
            f"a temperature needs at least {MIN_EXAMPLES} answers about {MIN_CLIPS} clips; there"
            f" are {len(answers)} about {num_clips}"
        )
    temperatures = _temperatures(answers)
    common = temperatures.pop(None)
    if not _is_found(common):
        raise BadRequest(
            f"no temperature from {LEAST:g} to {MOST:g} is best for these answers, as where all are"
            " right, or where the probabilities say nothing"
        )
    return Fit(
        num_examples=len(answers),
        num_clips=num_clips,
        temperature=common,
        temperatures={str(name): one for name, one in temperatures.items() if _is_found(one)},
        before=quality(answers),
        after=quality(_cross_validated(answers)),
    )


def _is_found(temperature: float) -> bool:
    """Return whether a temperature is best, and not just the limit of those that are tried."""
    return LEAST * (1 + MARGIN) < temperature < MOST * (1 - MARGIN)


def quality(answers: Sequence[Answered]) -> Quality:
    """Return how well the probabilities of answers come true."""
    return Quality(
        math.fsum(-_log(each.probabilities[each.right]) for each in answers) / len(answers),
        quiz_metrics.expected_calibration_error(answers),
    )


def best_temperature(answers: Sequence[Answered]) -> float:
    """Return the temperature from `LEAST` to `MOST` at which the right answers are likeliest."""
    low, high = 1 / MOST, 1 / LEAST
    for _ in range(NUM_STEPS):
        middle = math.sqrt(low * high)
        if _slope(answers, middle) >= 0:  # it is 0 where rounding leaves nothing to gain
            low = middle
        else:
            high = middle
    return 1 / math.sqrt(low * high)


def _slope(answers: Sequence[Answered], inverse: float) -> float:
    """Return how the log-likelihood grows with 1 / temperature."""
    return math.fsum(_slope_of(each, inverse) for each in answers)


def _slope_of(answer: Answered, inverse: float) -> float:
    logs = [_log(each) for each in answer.probabilities]
    weights = tempered(answer.probabilities, 1 / inverse)
    mean = math.fsum(weight * each for weight, each in zip(weights, logs, strict=True))
    return logs[answer.right] - mean


def _temperatures(answers: Sequence[Answered]) -> dict[str | None, float]:
    """Return the temperature of all answers (None), and of the categories that have enough."""
    groups: dict[str | None, list[Answered]] = {None: list(answers)}
    for each in answers:
        if each.category:
            groups.setdefault(each.category, []).append(each)
    large = {name: some for name, some in groups.items() if _is_enough(name, some)}
    return {name: best_temperature(some) for name, some in large.items()}


def _is_enough(name: str | None, answers: Sequence[Answered]) -> bool:
    return name is None or len(answers) >= MIN_EXAMPLES


def _cross_validated(answers: Sequence[Answered]) -> list[Answered]:
    """Return the answers, each at the temperature that those about other clips have."""
    folds = [_fold(each.clip) for each in answers]
    judged: dict[int, Answered] = {}
    for fold in {*folds}:
        others = [one for one, at in zip(answers, folds, strict=True) if at != fold]
        found = _temperatures(others)
        for at, one in enumerate(answers):
            if folds[at] == fold:
                temperature = found.get(one.category or None, found[None])
                judged[at] = replace(one, probabilities=tempered(one.probabilities, temperature))
    return [judged[at] for at in range(len(answers))]


def _fold(clip: str) -> int:
    """Return the fold of a clip: by its name, since the order of a file can have a pattern."""
    return hashlib.blake2b(clip.encode("utf-8", "surrogatepass")).digest()[0] % NUM_FOLDS


def _log(probability: float) -> float:
    return math.log(max(probability, MIN_PROBABILITY))
