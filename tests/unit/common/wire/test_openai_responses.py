"""Requests of `/v1/responses`: what is accepted, and which field an error names."""

import typing

import pytest
from openai.types import responses as openai_types
from openai.types.responses import (
    easy_input_message_param,
    function_tool_param,
    response_create_params,
    response_format_text_json_schema_config_param,
    response_function_tool_call_param,
    response_input_file_param,
    response_input_item_param,
    response_input_text_param,
    response_output_message_param,
    response_output_text_param,
    response_reasoning_item_param,
    response_text_config_param,
    tool_choice_allowed_param,
    tool_choice_function_param,
)

from flamingo_common.errors import BadRequest, UnknownParameter, UnsupportedParameter
from flamingo_common.wire import openai_responses_parameters as tables
from flamingo_common.wire import parse
from flamingo_common.wire.openai_responses import ResponsesRequest

FUNCTION = {"type": "function", "name": "set_tempo", "parameters": {"type": "object"}}


def parsed(**fields):
    return parse.validate_request(ResponsesRequest, fields)


def error(**fields):
    with pytest.raises(BadRequest) as caught:
        parsed(**fields)
    return caught.value


def message(*parts, role="user"):
    return {"role": role, "content": list(parts)}


@pytest.mark.parametrize(
    ("table", "kinds"),
    [
        pytest.param(
            tables.RESPONSES,
            [
                response_create_params.ResponseCreateParamsNonStreaming,
                response_create_params.ResponseCreateParamsStreaming,
            ],
            id="request",
        ),
        pytest.param(
            tables.MESSAGE_ITEM,
            [
                easy_input_message_param.EasyInputMessageParam,
                response_input_item_param.Message,
                response_output_message_param.ResponseOutputMessageParam,
            ],
            id="message",
        ),
        pytest.param(
            tables.INPUT_TEXT, [response_input_text_param.ResponseInputTextParam], id="text"
        ),
        pytest.param(
            tables.OUTPUT_TEXT, [response_output_text_param.ResponseOutputTextParam], id="answer"
        ),
        pytest.param(
            tables.INPUT_FILE, [response_input_file_param.ResponseInputFileParam], id="file"
        ),
        pytest.param(
            tables.CALL_ITEM,
            [response_function_tool_call_param.ResponseFunctionToolCallParam],
            id="call",
        ),
        pytest.param(
            tables.RESULT_ITEM, [response_input_item_param.FunctionCallOutput], id="result"
        ),
        pytest.param(
            tables.REASONING_ITEM,
            [response_reasoning_item_param.ResponseReasoningItemParam],
            id="reasoning",
        ),
        pytest.param(
            tables.TEXT_CONFIG,
            [response_text_config_param.ResponseTextConfigParam],
            id="text.format",
        ),
        pytest.param(
            tables.TEXT_FORMAT,
            [response_format_text_json_schema_config_param.ResponseFormatTextJSONSchemaConfigParam],
            id="JSON schema",
        ),
        pytest.param(tables.FUNCTION_TOOL, [function_tool_param.FunctionToolParam], id="tool"),
        pytest.param(
            tables.TOOL_REF, [tool_choice_function_param.ToolChoiceFunctionParam], id="tool choice"
        ),
        pytest.param(
            tables.ALLOWED_TOOLS,
            [tool_choice_allowed_param.ToolChoiceAllowedParam],
            id="allowed tools",
        ),
    ],
)
def test_every_parameter_of_openais_types_is_in_the_table(table, kinds):
    for kind in kinds:
        assert set(typing.get_type_hints(kind, vars(openai_types))) - set(table) == set()


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Which key?"},
        {"input": [{"role": "user", "content": "Which key?"}]},
        {"input": [{"type": "message", "role": "user", "content": "Which key?"}]},
        {"input": [message({"type": "input_text", "text": "Which key?"})]},
        {"input": [message({"type": "input_audio", "input_audio": {"data": "AA"}})]},
        {"input": [message({"type": "input_file", "file_data": "AA", "filename": "a.mp3"})]},
        {"input": "x", "store": True, "include": ["reasoning.encrypted_content"]},
        {"input": "x", "tools": [], "parallel_tool_calls": True, "truncation": "disabled"},
        {"input": "x", "text": {"format": {"type": "text"}, "verbosity": "low"}},
        {"input": "x", "reasoning": {"effort": "none"}, "service_tier": "auto"},
        {"input": "x", "tools": [FUNCTION], "tool_choice": {"type": "function", "name": "a"}},
        {"input": "x", "top_k": 5, "seed": 1, "truncate": True, "stop": "\n"},
    ],
)
def test_what_clients_send_is_accepted(fields):
    parsed(**fields)


def test_an_earlier_answer_is_accepted_as_clients_send_it_back():
    text = {"type": "output_text", "text": "C", "annotations": [], "logprobs": []}
    answer = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant"}
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "done"}
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    items = [message(), reasoning, answer | {"content": [text]}, call, result]
    assert len(parsed(input=items).input) == len(items)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": []}, "input", "at least 1 item"),
        ({"input": 5}, "input", "must be a string"),
        ({"input": [5]}, "input[0]", "must be an object"),
        ({"input": [{"type": "message"}]}, "input[0].role", "is required"),
        ({"input": [{"type": "web_search_call"}]}, "input[0]", "'function_call_output'"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0]", "store to false"),
        ({"input": [message({"type": "input_image"})]}, "input[0].content[0]", "no images"),
        ({"input": [message({"type": "input_text"})]}, "input[0].content[0].text", "required"),
        (
            {"input": [message({"type": "input_file", "file_data": "A", "file_url": "b"})]},
            "input[0].content[0]",
            "exactly one of file_data, file_url and file_id",
        ),
        (
            {"input": [{"type": "function_call", "name": "f", "arguments": {}}]},
            "input[0].arguments",
            "must be a string",
        ),
        ({"input": [{"type": "reasoning"}]}, "input", "has no message"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools[0]", "type web_search"),
        ({"input": "x", "tool_choice": {"type": "mcp"}}, "tool_choice", "type mcp"),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format", "a schema"),
        ({"input": "x", "include": ["all"]}, "include[0]", "must be 'message.output_text"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens", "from 1 to"),
    ],
)
def test_an_error_names_the_field_of_this_api(fields, param, words):
    found = error(**fields)
    assert found.param == param
    assert words in found.message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("previous_response_id", "resp_1", "nothing is stored"),
        ("conversation", "conv_1", "nothing is stored"),
        ("background", True, "/v1/batches"),
        ("prompt", {"id": "p"}, "instructions"),
        ("truncation", "auto", "not shortened"),
        ("reasoning", {"effort": "high"}, "thinking_token_budget"),
        ("messages", [], "input"),
        ("max_tokens", 5, "max_output_tokens"),
        ("response_format", {"type": "json_object"}, "text.format"),
        ("n", 2, "/v1/chat/completions"),
    ],
)
def test_what_is_not_supported_is_refused_by_name_with_what_to_use(name, value, words):
    found = error(input="x", **{name: value})
    assert isinstance(found, UnsupportedParameter)
    assert found.param == name
    assert words in found.message


def test_an_unknown_field_of_a_part_is_named_with_its_path():
    found = error(input=[message({"type": "input_text", "txt": "a"})])
    assert isinstance(found, UnknownParameter)
    assert found.param == "input[0].content[0].txt"
    assert "did you mean 'text'" in found.message


@pytest.mark.parametrize("row", [row for row in tables.RESPONSES.values() if row.harmless])
def test_a_refused_parameter_is_accepted_with_its_harmless_values(row):
    for value in (None, *row.harmless):
        parsed(input="x", **{row.name: value})
