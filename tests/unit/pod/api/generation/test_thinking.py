"""How the reasoning of an answer ends, from the options of its request."""

import pytest

from flamingo_common.errors import UnsupportedParameter
from flamingo_common.wire.sampling_options import TokenOptions
from flamingo_common.wire.tools import ForcedCall
from flamingo_pod.api.generation import thinking
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens

TABLES = ReasoningTokens.create([b"", b"</think>"], [[1]], [0], is_open=False)
CALL = ForcedCall((), (), is_named=True, is_legacy=False)


def rules(tokens=TABLES, call=None, **options):
    return thinking.rules(tokens, TokenOptions(**options), call)


@pytest.mark.parametrize(("budget", "expected"), [(None, None), (-1, None), (0, 0), (7, 7)])
def test_the_budget_is_that_of_the_request(budget, expected):
    assert rules(thinking_token_budget=budget).budget == expected


def test_a_demanded_call_is_not_reasoned_about():
    assert rules(call=CALL, thinking_token_budget=7) is None


@pytest.mark.parametrize("budget", [None, -1, 0])
def test_a_model_that_does_not_think_needs_no_rules(budget):
    assert rules(None, thinking_token_budget=budget) is None


def test_a_model_that_does_not_think_has_no_budget_for_it():
    with pytest.raises(UnsupportedParameter) as caught:
        rules(None, thinking_token_budget=7)
    assert caught.value.param == "thinking_token_budget"
