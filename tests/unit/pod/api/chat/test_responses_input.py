"""A request of `/v1/responses` as a conversation of chat."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse
from flamingo_common.wire.openai_responses import ResponsesRequest
from flamingo_pod.api.chat import responses_input
from flamingo_pod.api.generation import output_format

TEXT = {"type": "input_text", "text": "Which key?"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA"}}
FILE = {"type": "input_file", "file_data": "data:audio/mpeg;base64,AAAA"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "done"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def request(items="Which key?", **fields):
    return parse.validate_request(ResponsesRequest, {"input": items} | fields)


def turns(items, **fields):
    found = responses_input.conversation(request(items, **fields)).turns
    return [(turn.role, turn.text, turn.has_audio, turn.field) for turn in found]


def options(**fields):
    return responses_input.chat_options(request(**fields))


def test_text_is_one_turn_after_the_instructions():
    assert turns("Which key?", instructions="Be brief.") == [
        ("system", "Be brief.", False, "instructions"),
        ("user", "Which key?", False, "input"),
    ]


def test_the_first_clip_is_used_and_every_one_has_its_place():
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [TEXT, AUDIO]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "C."}]},
        {"role": "user", "content": [FILE, {"type": "input_text", "text": "Sure?"}]},
    ]
    assert turns(items) == [
        ("system", "Be brief.", False, "input[0].content"),
        ("user", "Which key?", True, "input[1].content"),
        ("assistant", "C.", False, "input[2].content"),
        ("user", "Sure?", False, "input[3].content"),
    ]
    clips = responses_input.conversation(request(items)).clips
    assert [clip.place for clip in clips] == ["input[1].content[1]", "input[3].content[0]"]
    assert [clip.audio.data for clip in clips] == ["AAAA", FILE["file_data"]]


def test_calls_belong_to_the_answer_before_them():
    answer = {"role": "assistant", "content": "One moment."}
    items = [{"role": "user", "content": "Hi"}, answer, CALL, CALL, RESULT, CALL]
    found = responses_input.conversation(request(items)).turns
    assert [(turn.role, turn.text, len(turn.snippets)) for turn in found] == [
        ("user", "Hi", 0),
        ("assistant", "One moment.", 2),
        ("tool", "done", 0),
        ("assistant", "", 1),
    ]
    assert [snippet.field for snippet in found[1].snippets] == ["input[2]", "input[3]"]


def test_a_result_in_parts_is_their_text():
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    items = [{"role": "user", "content": "Hi"}, CALL, RESULT | {"output": parts}]
    assert turns(items)[-1] == ("tool", "ab", False, "input[2].output")


def test_audio_in_a_message_of_the_assistant_is_rejected():
    items = [{"role": "assistant", "content": [TEXT, AUDIO]}]
    with pytest.raises(BadRequest, match="role assistant") as caught:
        turns(items)
    assert caught.value.param == "input[0].content[1]"


def test_options_have_their_names_in_chat():
    schema = {"type": "object"}
    made = options(
        max_output_tokens=7,
        temperature=0.5,
        top_k=3,
        truncate=True,
        top_logprobs=2,
        text={"format": {"type": "json_schema", "name": "a", "schema": schema}},
    )
    assert (made.max_completion_tokens, made.temperature, made.top_k) == (7, 0.5, 3)
    assert (made.truncate, made.logprobs, made.top_logprobs) == (True, True, 2)
    assert made.response_format.json_schema.schema_ == schema
    assert options().logprobs is False
    assert options(include=["message.output_text.logprobs"]).logprobs is True


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "name": "f"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
    ],
)
def test_a_choice_of_tools_demands_the_same_call_as_in_chat(choice):
    call = output_format.requested_call(options(tools=[FUNCTION], tool_choice=choice))
    assert [each.function.name for each in call.callable] == ["f"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [FUNCTION]}, "tool_choice"),
        ({"tools": [FUNCTION, FUNCTION], "tool_choice": "required"}, "tools[1].name"),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}},
            "tool_choice.name",
        ),
        (
            {
                "tools": [FUNCTION],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "required",
                    "tools": [{"type": "function", "name": "g"}],
                },
            },
            "tool_choice.tools[0].name",
        ),
        (
            {
                "tools": [FUNCTION],
                "tool_choice": "required",
                "text": {"format": {"type": "json_object"}},
            },
            "text.format",
        ),
    ],
)
def test_an_error_of_chat_has_the_fields_of_this_api(fields, param):
    with pytest.raises(BadRequest) as caught, responses_input.naming_fields():
        output_format.requested_call(options(**fields))
    assert caught.value.param == param
    assert "response_format" not in caught.value.message


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("max_tokens", "max_output_tokens"),
        ("set max_completion_tokens to at least", "set max_output_tokens to at least"),
        ("tools[3].function.parameters", "tools[3].parameters"),
        ("the tokens", "the tokens"),
    ],
)
def test_fields_are_renamed_in_texts_too(was, now):
    assert responses_input.renamed(was) == now
