"""How the reasoning of a request's answer ends, from its options.

Pure.
"""

from flamingo_common.errors import UnsupportedParameter
from flamingo_common.wire.sampling_options import TokenOptions
from flamingo_common.wire.tools import Call, ForcedCall
from flamingo_pod.engine.structured_output.constraint import ReasoningRules
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens

UNLIMITED = -1
"""As in vLLM."""


def rules(
    tokens: ReasoningTokens | None, options: TokenOptions, call: Call | None
) -> ReasoningRules | None:
    """Return the rules; None: the answer is not reasoned about.

    `tokens` are those of a model that thinks. A demanded call begins in the prompt, behind any
    reasoning.

    Raises:
        UnsupportedParameter: there is a budget for reasoning, and the model does not think.
    """
    budget = options.thinking_token_budget
    if budget == UNLIMITED:
        budget = None
    if tokens is None and budget:
        raise UnsupportedParameter(
            "parameter 'thinking_token_budget' is not supported: the model does not reason before"
            " it answers; if it does, start its pods with --reasoning-parser think",
            param="thinking_token_budget",
        )
    is_forced = isinstance(call, ForcedCall)
    return None if tokens is None or is_forced else ReasoningRules(tokens, budget)
