"""The tokens of a question's options as a tree, and the probability of each option in it.

How it works: an answer is one of the options, token by token, and then the end of the text. Options
that begin alike share a path from the root. A node with several next tokens is a *branch*: there
the model decides, and its probabilities of these tokens are divided by their sum. A node with one
next token decides nothing. The probability of an option is the product over its branches.

That is the probability with which the model, sampling at temperature 1, generates the option when
a grammar lets it generate nothing but options (De Cao et al. 2021, "Autoregressive Entity
Retrieval"; Willard and Louf 2023, "Efficient Guided Generation"). It is fair to long options: what
follows from the tokens before costs nothing, so neither a sum of log-probabilities, which prefers
short options, nor their mean (Brown et al. 2020, section 2.4), which prefers long ones whose end is
obvious, is needed. It adds up to 1 without a further normalization.

Pure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """A beginning of several options, which continue with different tokens."""

    path: Path
    """The tokens from the start of the answer; empty for the root."""
    token_ids: Path
    """The tokens that come next, at least one, in the order of the options."""


@dataclass(frozen=True, slots=True)
class OptionTree:
    """The branches of some options; the root comes first, also where it has one next token."""

    branches: Sequence[Branch]
    decisions: Sequence[Sequence[tuple[int, int]]]
    """Of each option: the branches on its path, and which of the next tokens it has there."""

    @classmethod
    def of(cls, options: Sequence[Sequence[int]], end_id: int) -> "OptionTree":
        """Return the tree of options, none of which is empty or equals another.

        `end_id` is the token that ends an answer.
        """
        paths = [(*option, end_id) for option in options]
        children: dict[Path, dict[int, int]] = {(): {}}
        for path in paths:
            for at, token in enumerate(path):
                following = children.setdefault(path[:at], {})
                following.setdefault(token, len(following))
        branches = [
            Branch(path, tuple(following))
            for path, following in children.items()
            if len(following) > 1 or not path
        ]
        numbers = {branch.path: number for number, branch in enumerate(branches)}
        return cls(branches, [_decisions(path, children, numbers) for path in paths])

    @property
    def depth(self) -> int:
        """The tokens of the longest path to a branch."""
        return max(len(branch.path) for branch in self.branches)

    def probabilities(self, logprobs: Sequence[Sequence[float]]) -> list[float]:
        """Return the probability of each option; they add up to 1.

        `logprobs` are the model's log-probabilities of each branch's `token_ids`.
        """
        within = [_normalized(each) for each in logprobs]
        return [
            math.exp(math.fsum(within[branch][at] for branch, at in decisions))
            for decisions in self.decisions
        ]


def mass(logprobs: Sequence[float]) -> float:
    """Return the probability of all tokens of a branch together."""
    return min(math.fsum(map(math.exp, logprobs)), 1.0)


def _decisions(
    path: Path, children: Mapping[Path, Mapping[int, int]], numbers: Mapping[Path, int]
) -> list[tuple[int, int]]:
    return [
        (numbers[path[:at]], children[path[:at]][token])
        for at, token in enumerate(path)
        if path[:at] in numbers
    ]


def _normalized(logprobs: Sequence[float]) -> list[float]:
    """Return log-probabilities less the logarithm of their sum."""
    best = max(logprobs)
    if best == -math.inf:
        return [-math.log(len(logprobs))] * len(logprobs)
    total = best + math.log(math.fsum(math.exp(each - best) for each in logprobs))
    return [each - total for each in logprobs]
