"""From the probabilities of a question's options to its answer in the response.

Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flamingo_common.wire import decisions
from flamingo_common.wire.decision_temperature import tempered
from flamingo_common.wire.decisions import (
    ChoiceQuestion,
    PredicateQuestion,
    Question,
    ScoreQuestion,
)


@dataclass(frozen=True, slots=True)
class Scored:
    """What the model says about the options of a question."""

    probabilities: Sequence[float]
    """Of each option; they add up to 1."""
    mass: float
    """The probability that its answer begins like one of them at all."""


def average(scored: Sequence[Scored]) -> Scored:
    """Return the mean over the orders in which a question was asked."""
    of_options = zip(*(each.probabilities for each in scored), strict=True)
    num = len(scored)
    means = [math.fsum(each) / num for each in of_options]
    return Scored(means, math.fsum(each.mass for each in scored) / num)


def answer(question: Question, scored: Scored, temperature: float) -> decisions.Answer:
    """Return the answer to a question."""
    found = tempered(scored.probabilities, temperature)
    likeliest = found.index(max(found))
    confidence = found[likeliest] * scored.mass
    match question:
        case PredicateQuestion():
            return decisions.PredicateAnswer(name=question.name, probability=found[0])
        case ChoiceQuestion():
            values = [choice.value for choice in question.choices]
            return decisions.ChoiceAnswer(
                name=question.name,
                choice=values[likeliest],
                confidence=confidence,
                probabilities=[
                    decisions.ChoiceProbability(value=value, probability=each)
                    for value, each in zip(values, found, strict=True)
                ],
            )
        case ScoreQuestion():
            return decisions.ScoreAnswer(
                name=question.name,
                score=math.fsum(value * each for value, each in enumerate(found)),
                confidence=confidence,
                probabilities=[
                    decisions.ScoreProbability(label=level.label, value=value, probability=each)
                    for value, (level, each) in enumerate(zip(question.levels, found, strict=True))
                ],
            )
