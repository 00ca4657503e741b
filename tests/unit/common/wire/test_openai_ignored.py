"""Parameters of OpenAI's API that are validated and ignored."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import openai_ignored, openai_unsupported, parse, requests


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


AT_ITS_DEFAULT = [
    {"tools": []},
    {"functions": []},
    {"tool_choice": "auto"},
    {"function_call": "none"},
    {"parallel_tool_calls": True},
    {"n": 1},
    {"logprobs": False},
    {"modalities": ["text"]},
    {"store": False},
    {"service_tier": "auto"},
    {"reasoning_effort": "none"},
    {"verbosity": "low"},
    {"metadata": {"album": "Blue"}},
    {"user": "me"},
    {"safety_identifier": "me"},
    {"prompt_cache_key": "album"},
    {"prompt_cache_retention": "24h"},
    {"prompt_cache_options": {"ttl": "1h"}},
    {"stream_options": {"include_obfuscation": False}},
]


@pytest.mark.parametrize("fields", AT_ITS_DEFAULT, ids=lambda fields: next(iter(fields)))
def test_a_parameter_without_effect_is_accepted(fields):
    openai_unsupported.reject_unsupported(fields, own=openai_unsupported.CHAT_ONLY)
    parse.validate_request(requests.ChatRequest, chat(**fields))
    parse.validate_request(requests.ChatRequest, chat(**dict.fromkeys(fields)))


def test_every_ignored_parameter_is_in_the_table():
    named = {name for fields in AT_ITS_DEFAULT for name in fields}
    assert set(openai_ignored.IgnoredParameters.model_fields) <= named


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "x" * 257},
        {"safety_identifier": 7},
        {"prompt_cache_key": "x" * 257},
        {"prompt_cache_options": dict.fromkeys(map(str, range(17)))},
        {"metadata": {"key": 1}},
        {"metadata": {"x" * 65: ""}},
        {"metadata": {"key": "x" * 513}},
        {"metadata": dict.fromkeys(map(str, range(17)), "")},
        {"verbosity": "loud"},
        {"parallel_tool_calls": "yes"},
    ],
    ids=str,
)
def test_ignored_parameters_are_validated(fields):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(**fields))
    assert caught.value.param.startswith(next(iter(fields)))
