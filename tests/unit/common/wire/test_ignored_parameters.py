"""Parameters of OpenAI's API that are validated and ignored."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import ignored_parameters, parameters, parse, requests


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


def test_every_ignored_parameter_with_a_type_is_in_the_table_as_ignored():
    for name in ignored_parameters.IgnoredParameters.model_fields:
        assert parameters.GENERATION[name].status == "ignored", name


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
