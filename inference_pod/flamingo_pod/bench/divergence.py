"""How far the answers of a quantized or rounded model are from those of a reference.

Pure. Two comparisons: with *teacher forcing* both models read the reference's answer, and what is
compared is the distribution that each predicts for every next token; in *free running* each model
reads its own tokens, so everything after the first difference may differ.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AnswerDivergence:
    """One prompt's comparison."""

    kl: tuple[float, ...]
    """By token of the reference's answer: the Kullback-Leibler divergence of the distribution that
    is compared from the reference's, in nats."""
    is_same_top: tuple[bool, ...]
    """By token of the reference's answer: whether both models find the same one most likely."""
    reference_ids: tuple[int, ...]
    ids: tuple[int, ...]
    """The answer in free running."""

    @property
    def first_difference(self) -> int | None:
        """The place of the first token that differs in free running, from 0; None for none."""
        if self.ids == self.reference_ids:
            return None
        return num_common(self.ids, self.reference_ids)

    @property
    def num_equal(self) -> int:
        """Places with the same token in free running."""
        return sum(map(int.__eq__, self.ids, self.reference_ids))


@dataclass(frozen=True, slots=True)
class Divergence:
    """The comparison over all prompts."""

    num_answers: int
    num_tokens: int
    """Of the reference's answers."""
    kl_mean: float
    kl_p99: float
    kl_max: float
    same_top_share: float
    """Of the tokens, with teacher forcing."""
    num_identical: int
    """Answers that are the same in free running."""
    first_difference_median: float | None
    """In free running, over the answers that differ; None: all are the same."""
    equal_share: float
    """Of the tokens, in free running, place by place."""


def summary(answers: Sequence[AnswerDivergence]) -> Divergence:
    """Return the comparison over `answers`, of which each has at least one token."""
    kl = [value for answer in answers for value in answer.kl]
    differences = [each.first_difference for each in answers]
    places = [place for place in differences if place is not None]
    num_tokens = len(kl)
    return Divergence(
        num_answers=len(answers),
        num_tokens=num_tokens,
        kl_mean=math.fsum(kl) / num_tokens,
        kl_p99=percentile(kl, 0.99),
        kl_max=max(kl),
        same_top_share=sum(sum(each.is_same_top) for each in answers) / num_tokens,
        num_identical=differences.count(None),
        first_difference_median=statistics.median(places) if places else None,
        equal_share=sum(each.num_equal for each in answers) / num_tokens,
    )


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least a `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def num_common(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common beginning."""
    both = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], both))
