"""Calls of functions in the prompt, and answers that are read as one."""

import json

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire.tools import ForcedCall, FunctionDefinition, Offered
from flamingo_pod.api.generation import tool_calls
from flamingo_pod.api.generation.tool_calls import CallReader


def offered(*names, **fields):
    return [
        Offered(FunctionDefinition(name=name, **fields), f"tools[{number}].function")
        for number, name in enumerate(names)
    ]


def call(*names, is_named=False, **fields):
    return ForcedCall(offered(*names, **fields), offered(*names, **fields), is_named)


def read(reader, pieces):
    return [(reader.add(piece), reader.name) for piece in pieces]


def test_the_arguments_of_the_only_function_are_the_text_without_its_first_blank():
    reader = CallReader.of(call("get"))
    assert read(reader, [" ", '{"a', '":', "   ", '" b"}']) == [
        ("", "get"),
        ('{"a', "get"),
        ('":', "get"),
        ("   ", "get"),
        ('" b"}', "get"),
    ]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_name_comes_before_the_arguments_however_the_text_is_split(size):
    text = ' "get_all", "arguments": {"get": " \\"get\\", "}'
    reader = CallReader.of(call("get", "get_all"))
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    parts = read(reader, pieces)
    assert reader.name == "get_all"
    assert "".join(arguments for arguments, _ in parts) == '{"get": " \\"get\\", "}'
    assert all(arguments == "" for arguments, name in parts if name is None)


def test_a_call_that_is_cut_before_its_name_has_none():
    reader = CallReader.of(call("get", "put"))
    assert read(reader, [' "ge', 't", "argum']) == [("", None), ("", None)]


def test_the_prompt_has_each_function_and_the_beginning_of_the_call():
    forced = call("get", description="Get it.", parameters={"type": "object"})
    (snippet,) = tool_calls.described(forced)
    assert json.loads(snippet.text) == {
        "type": "function",
        "function": {"name": "get", "description": "Get it.", "parameters": {"type": "object"}},
    }
    assert snippet.field == "tools[0].function"
    assert tool_calls.beginning(forced) == '<tool_call>\n{"name": "get", "arguments":'
    assert tool_calls.beginning(call("get", "put")) == '<tool_call>\n{"name":'
    assert tool_calls.beginning(None) == ""


def test_functions_that_are_too_long_together_are_rejected():
    parameters = {"description": "x" * 60_000}
    with pytest.raises(BadRequest, match="100000 characters together") as caught:
        tool_calls.described(call("get", "put", parameters=parameters))
    assert caught.value.param == "tools"


@pytest.mark.parametrize(
    ("is_named", "reason", "has_name", "expected"),
    [
        (True, "stop", True, "stop"),
        (False, "stop", True, "tool_calls"),
        (False, "stop", False, "stop"),
        (False, "length", True, "length"),
        (True, "length", True, "length"),
    ],
)
def test_the_finish_reason_is_that_of_openai(is_named, reason, has_name, expected):
    forced = call("get", is_named=is_named)
    assert tool_calls.finish_reason(forced, reason, has_name=has_name) == expected
    assert tool_calls.finish_reason(None, reason, has_name=False) == reason
