"""Parameters of OpenAI's API that are rejected."""

import pytest

from flamingo_common.errors import UnsupportedParameter
from flamingo_common.wire import openai_unsupported


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{}]),
        ("functions", [{}]),
        ("n", 2),
        ("logprobs", True),
        ("audio", {"voice": "alloy"}),
        ("prediction", {"type": "content"}),
        ("web_search_options", {}),
        ("modalities", ["text", "audio"]),
        ("store", True),
        ("reasoning_effort", "high"),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("tool_choice", "required"),
        ("moderation", {"model": "m"}),
        ("service_tier", "priority"),
        ("top_logprobs", 2),
    ],
)
def test_a_parameter_that_would_change_the_response_is_rejected_by_name(name, value):
    with pytest.raises(UnsupportedParameter) as caught:
        openai_unsupported.reject_unsupported({name: value})
    assert caught.value.param == name


@pytest.mark.parametrize("name", sorted(openai_unsupported.CHAT_ONLY))
def test_a_parameter_that_a_route_supports_is_accepted_there(name):
    openai_unsupported.reject_unsupported({name: 2}, own=openai_unsupported.CHAT_ONLY)
    with pytest.raises(UnsupportedParameter):
        openai_unsupported.reject_unsupported({name: 2}, own={"audio"})
