"""The constraint of a sequence, from what its request sets.

Pure.
"""

import math

from flamingo_pod.engine.structured_output.call_constraint import CallRules, OptionalCalls
from flamingo_pod.engine.structured_output.constraint import (
    AnswerGrammar,
    Constraint,
    Reasoning,
    ReasoningRules,
)


def constraint_of(
    reasoning: ReasoningRules | None,
    grammar: AnswerGrammar | None,
    calls: CallRules | None = None,
) -> Constraint | None:
    """Return the constraint of a sequence at its start; None: any token may come.

    With `calls` there is no `grammar`: the answer is free text, and then calls.
    """
    if calls is not None:
        return OptionalCalls(calls, reasoning)
    if reasoning is None or (reasoning.budget is None and grammar is None):
        return grammar
    return Reasoning(reasoning.tokens, reasoning.budget, grammar)


def num_free(constraint: Constraint | None) -> float:
    """Return how many of the next tokens of a sequence without a grammar can be anything.

    Where the model may call functions, a token that begins a call makes them fewer.
    """
    if isinstance(constraint, Reasoning | OptionalCalls):
        return constraint.num_free
    return math.inf
