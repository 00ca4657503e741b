"""How right, and how well calibrated, answers with probabilities are.

Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

NUM_BINS = 10
Z_95 = 1.959964
"""Of the normal distribution: 95 % are within so many standard deviations."""


@dataclass(frozen=True)
class Answered:
    """One question: the probabilities of its choices, and which of them is right."""

    probabilities: Sequence[float]
    right: int
    category: str = ""
    clip: str = ""
    """Which clip it is about."""

    @property
    def chosen(self) -> int:
        """The likeliest choice."""
        return max(range(len(self.probabilities)), key=self.probabilities.__getitem__)

    @property
    def is_right(self) -> bool:
        """Whether that is the right one."""
        return self.chosen == self.right


@dataclass(frozen=True)
class Accuracy:
    """The share of right answers, with its 95 % interval."""

    num: int
    num_right: int

    @property
    def share(self) -> float:
        """The share of right answers."""
        return self.num_right / self.num

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval, which holds for few questions and for shares near 0 and 1."""
        square = Z_95**2
        middle = (self.num_right + square / 2) / (self.num + square)
        spread = self.num_right * (self.num - self.num_right) / self.num + square / 4
        width = Z_95 * math.sqrt(spread) / (self.num + square)
        return max(0.0, middle - width), min(1.0, middle + width)


@dataclass(frozen=True)
class Bin:
    """Answers whose best probability is in one tenth of the scale."""

    start: float
    num: int
    mean_probability: float
    share_right: float


def accuracy(answers: Sequence[Answered]) -> Accuracy:
    """Return the accuracy of some answers."""
    return Accuracy(len(answers), sum(each.is_right for each in answers))


def by_category(answers: Sequence[Answered]) -> dict[str, Accuracy]:
    """Return the accuracy of each category, in the order in which they first come."""
    groups: dict[str, list[Answered]] = {}
    for each in answers:
        groups.setdefault(each.category, []).append(each)
    return {name: accuracy(group) for name, group in groups.items()}


def reliability(answers: Sequence[Answered]) -> list[Bin]:
    """Return the bins that have answers: how sure they were, and how many are right."""
    bins: dict[int, list[Answered]] = {}
    for each in answers:
        best = each.probabilities[each.chosen]
        bins.setdefault(min(int(best * NUM_BINS), NUM_BINS - 1), []).append(each)
    return [
        Bin(
            number / NUM_BINS,
            len(group),
            math.fsum(each.probabilities[each.chosen] for each in group) / len(group),
            sum(each.is_right for each in group) / len(group),
        )
        for number, group in sorted(bins.items())
    ]


def expected_calibration_error(answers: Sequence[Answered]) -> float:
    """Return the mean gap between probability and share of right answers (Guo et al. 2017)."""
    gaps = (
        each.num * abs(each.mean_probability - each.share_right) for each in reliability(answers)
    )
    return math.fsum(gaps) / len(answers)


def brier_score(answers: Sequence[Answered]) -> float:
    """Return the mean squared error over all choices (Brier 1950): 0 is best, 2 is worst."""
    return math.fsum(
        (probability - (number == each.right)) ** 2
        for each in answers
        for number, probability in enumerate(each.probabilities)
    ) / len(answers)
