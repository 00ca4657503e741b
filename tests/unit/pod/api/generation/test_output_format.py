"""What the answer of a request has to be, and requests that say it twice."""

import json

import pytest

from flamingo_common.errors import BadRequest, UnsupportedParameter
from flamingo_common.wire import parse, requests
from flamingo_pod.api.generation import output_format

TOOLS = [
    {"type": "function", "function": {"name": "get"}},
    {"type": "function", "function": {"name": "put", "parameters": {"properties": {"a": {}}}}},
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer"}}}


def request(**fields):
    body = {"messages": [{"role": "user", "content": "a"}], **fields}
    return parse.validate_request(requests.ChatRequest, body)


def spec(*, may_decide=False, **fields):
    options = request(**fields)
    call = output_format.requested_call(options, may_decide=may_decide)
    return output_format.grammar_spec(options, call)


def test_an_answer_without_a_format_is_any_text():
    assert spec() is None
    assert spec(response_format={"type": "text"}, guided_json_object=False) is None


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({"response_format": {"type": "json_object"}}, "json_object", "response_format"),
        ({"response_format": FORMAT}, "json_schema", "response_format"),
        ({"structured_outputs": {"json": {}}}, "json_schema", "structured_outputs.json"),
        ({"structured_outputs": {"regex": "a"}}, "regex", "structured_outputs.regex"),
        ({"structured_outputs": {"choice": ["a"]}}, "choice", "structured_outputs.choice"),
        ({"structured_outputs": {"grammar": "a"}}, "grammar", "structured_outputs.grammar"),
        (
            {"structured_outputs": {"json_object": True}},
            "json_object",
            "structured_outputs.json_object",
        ),
        ({"guided_json": "{}"}, "json_schema", "guided_json"),
        ({"guided_regex": "a"}, "regex", "guided_regex"),
        ({"guided_choice": ["a"]}, "choice", "guided_choice"),
        ({"guided_grammar": "a"}, "grammar", "guided_grammar"),
        ({"guided_json_object": True}, "json_object", "guided_json_object"),
        ({"tools": TOOLS, "tool_choice": "required"}, "call", "tools"),
    ],
)
def test_each_format_is_a_grammar_that_names_its_field(fields, kind, field):
    made = spec(**fields)
    assert (made.kind, made.field) == (kind, field)


def test_a_schema_as_text_is_taken_as_it_is():
    assert spec(guided_json='{"type":"integer"}').text == '{"type":"integer"}'
    assert json.loads(spec(guided_json={"type": "integer"}).text) == {"type": "integer"}


@pytest.mark.parametrize(
    ("fields", "names", "param"),
    [
        (
            {"response_format": FORMAT, "structured_outputs": {"regex": "a"}},
            ["response_format", "structured_outputs"],
            "structured_outputs",
        ),
        ({"guided_regex": "a", "guided_choice": ["a"]}, ["guided_regex"], "guided_choice"),
        (
            {"tools": TOOLS, "tool_choice": "required", "response_format": FORMAT},
            ["tool_choice", "response_format"],
            "response_format",
        ),
        (
            {
                "functions": [{"name": "a"}],
                "function_call": {"name": "a"},
                "guided_json_object": True,
            },
            ["function_call"],
            "guided_json_object",
        ),
        (
            {
                "tools": TOOLS,
                "tool_choice": "required",
                "functions": [{"name": "a"}],
                "function_call": {"name": "a"},
            },
            ["tools", "functions"],
            "functions",
        ),
    ],
)
def test_two_formats_are_rejected_with_both_names(fields, names, param):
    with pytest.raises(BadRequest) as caught:
        spec(**fields)
    assert caught.value.param == param
    assert all(name in caught.value.message for name in [*names, param])


def test_tools_that_are_not_called_leave_room_for_a_format():
    assert spec(tools=TOOLS, tool_choice="none", response_format=FORMAT).kind == "json_schema"


def test_a_call_has_no_arguments_that_the_function_does_not_have():
    get, put = spec(tools=TOOLS, tool_choice="required").functions
    assert json.loads(get.parameters) == output_format.NO_ARGUMENTS
    assert json.loads(put.parameters)["additionalProperties"] is False
    assert put.field == "tools[1].function.parameters"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
        {"allOf": [{"type": "object"}]},
    ],
)
def test_a_schema_that_says_what_else_an_object_has_is_kept(schema):
    assert output_format.closed_parameters(schema, "tools") == {"type": "object", **schema}


def test_parameters_that_are_not_an_object_are_rejected():
    tool = {"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}
    with pytest.raises(BadRequest, match="must be object") as caught:
        spec(tools=[TOOLS[0], tool], tool_choice="required")
    assert caught.value.param == "tools[1].function.parameters"


AUTO = [{"tools": TOOLS}, {"tools": TOOLS, "tool_choice": "auto"}]
LEGACY = {"functions": [TOOLS[0]["function"]]}


@pytest.mark.parametrize("fields", [*AUTO, LEGACY])
def test_that_the_model_decides_needs_a_flag_which_the_error_names(fields):
    field = "function_call" if "functions" in fields else "tool_choice"
    with pytest.raises(UnsupportedParameter, match="--enable-auto-tool-choice") as caught:
        output_format.requested_call(request(**fields))
    assert caught.value.param == field
    for part in (field, "response_format", "send no tools"):
        assert part in caught.value.message


@pytest.mark.parametrize("fields", [*AUTO, LEGACY])
def test_with_the_flag_the_answer_is_any_text_and_a_call_has_a_grammar(fields):
    assert spec(may_decide=True, **fields) is None
    call = output_format.requested_call(request(**fields), may_decide=True)
    made = output_format.optional_call_spec(call)
    assert (made.kind, made.field) == ("tool_call", next(iter(fields)))
    assert made.functions[0].name == "get"


def test_where_the_model_decides_its_text_may_have_a_format():
    assert spec(may_decide=True, tools=TOOLS, response_format=FORMAT).kind == "json_schema"
    with pytest.raises(BadRequest, match="tool_choice and response_format"):
        spec(may_decide=True, tools=TOOLS, tool_choice="required", response_format=FORMAT)
