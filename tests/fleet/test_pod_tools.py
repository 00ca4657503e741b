"""A real pod: calls of functions that a chat demands, as OpenAI's clients do."""

import json
import re

import pytest

from flamingo_common.wire import sse

QUESTION = {"messages": [{"role": "user", "content": "What key?"}], "max_tokens": 300}
KEY = {
    "type": "object",
    "properties": {"tonic": {"enum": ["C", "D"]}, "is_minor": {"type": "boolean"}},
    "required": ["tonic", "is_minor"],
}
SET_KEY = {"name": "set_key", "description": "Sets the key.", "parameters": KEY, "strict": True}
TOOLS = [
    {"type": "function", "function": SET_KEY},
    {"type": "function", "function": {"name": "set"}},
]
NAMED = {"type": "function", "function": {"name": "set_key"}}


def chat(http, **fields):
    answer = http.post("/v1/chat/completions", json=QUESTION | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"]


def chunks(http, **fields):
    answer = http.post("/v1/chat/completions", json=QUESTION | fields | {"stream": True})
    assert answer.status_code == 200, answer.text
    events = sse.EventDecoder().feed(answer.content)
    assert events[-1] == "[DONE]"
    return [json.loads(event)["choices"][0] for event in events[:-1]]


def refusal(http, **fields):
    answer = http.post("/v1/chat/completions", json=QUESTION | fields)
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def is_call(function):
    arguments = json.loads(function["arguments"])
    if function["name"] == "set":
        return arguments == {}
    return set(arguments) == {"tonic", "is_minor"} and arguments["tonic"] in "CD"


def test_a_named_function_is_called(http, no_spaces):
    (choice,) = chat(http, tools=TOOLS, tool_choice=NAMED, logit_bias=no_spaces)
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] is None
    assert "function_call" not in choice["message"]
    (call,) = choice["message"]["tool_calls"]
    assert re.fullmatch("call_[0-9a-f]{24}", call["id"])
    assert call["type"] == "function"
    assert call["function"]["name"] == "set_key"
    assert is_call(call["function"])


def test_a_required_call_is_of_any_function(http, no_spaces):
    choices = chat(
        http, tools=TOOLS, tool_choice="required", n=8, temperature=2, logit_bias=no_spaces
    )
    calls = [call for choice in choices for call in choice["message"]["tool_calls"]]
    assert {choice["finish_reason"] for choice in choices} == {"tool_calls"}
    assert all(is_call(call["function"]) for call in calls)
    assert len({call["id"] for call in calls}) == len(choices) == 8


def test_an_allowed_tool_is_called(http):
    tools = {"mode": "required", "tools": [{"type": "function", "function": {"name": "set"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": tools}
    (made,) = chat(http, tools=TOOLS, tool_choice=choice)
    assert made["message"]["tool_calls"][0]["function"] == {"name": "set", "arguments": "{}"}
    assert made["finish_reason"] == "tool_calls"


def test_older_clients_get_a_function_call(http, no_spaces):
    fields = {"functions": [SET_KEY], "function_call": {"name": "set_key"}}
    (choice,) = chat(http, **fields, logit_bias=no_spaces)
    assert is_call(choice["message"]["function_call"])
    assert choice["message"]["content"] is None
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"
    streamed = chunks(http, **fields, logit_bias=no_spaces)
    assert streamed[0]["delta"] == {
        "role": "assistant",
        "function_call": {"name": "set_key", "arguments": ""},
    }
    deltas = [chunk["delta"].get("function_call", {}) for chunk in streamed]
    whole = "".join(delta.get("arguments", "") for delta in deltas)
    assert whole == choice["message"]["function_call"]["arguments"]


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_a_stream_has_the_name_first_and_then_the_arguments(http, no_spaces, choice):
    fields = {"tools": TOOLS, "tool_choice": choice, "logit_bias": no_spaces}
    (whole,) = chat(http, **fields)
    streamed = chunks(http, **fields)
    first, *others = [chunk["delta"]["tool_calls"][0] for chunk in streamed if chunk["delta"]]
    assert streamed[0]["delta"]["role"] == "assistant"
    assert first["id"].startswith("call_")
    name = whole["message"]["tool_calls"][0]["function"]["name"]
    assert first == {
        "index": 0,
        "id": first["id"],
        "type": "function",
        "function": {"name": name, "arguments": ""},
    }
    assert all(set(other) == {"index", "function"} for other in others)
    assert all(set(other["function"]) == {"arguments"} for other in others)
    assert all(other["function"]["arguments"] for other in others)
    arguments = "".join(other["function"]["arguments"] for other in others)
    assert arguments == whole["message"]["tool_calls"][0]["function"]["arguments"]
    assert streamed[-1] == {
        "index": 0,
        "delta": {},
        "finish_reason": "tool_calls" if choice == "required" else "stop",
        "logprobs": None,
    }


@pytest.mark.parametrize("choice", [NAMED, "required"], ids=["named", "required"])
def test_log_probabilities_cover_every_generated_token(http, no_spaces, choice):
    fields = {"tools": TOOLS, "tool_choice": choice, "logit_bias": no_spaces, "logprobs": True}
    answer = http.post("/v1/chat/completions", json=QUESTION | fields).json()
    whole = answer["choices"][0]["logprobs"]["content"]
    assert len(whole) == answer["usage"]["completion_tokens"]
    entries = [chunk["logprobs"] for chunk in chunks(http, **fields)]
    streamed = [entry for logprobs in entries if logprobs for entry in logprobs["content"]]
    assert streamed == whole


def test_a_call_that_is_cut_is_incomplete(http):
    (choice,) = chat(http, tools=TOOLS, tool_choice=NAMED, max_tokens=2)
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"].startswith("{")


def test_a_call_that_is_cut_in_its_name_is_none(http):
    fields = {"tools": TOOLS, "tool_choice": "required", "max_tokens": 1, "logprobs": True}
    (choice,) = chat(http, **fields)
    assert choice["finish_reason"] == "length"
    assert choice["message"] == {"role": "assistant", "content": None}
    streamed = chunks(http, **fields)
    assert streamed[0]["delta"] == {"role": "assistant"}
    assert streamed[-1]["finish_reason"] == "length"
    assert not any("tool_calls" in chunk["delta"] for chunk in streamed)


def test_no_call_is_text_about_the_same_prompt(http):
    plain, forbidden = (
        chat(http, max_tokens=5),
        chat(http, max_tokens=5, tools=TOOLS, tool_choice="none"),
    )
    assert plain == forbidden


def test_the_description_of_a_tool_reaches_the_model(http):
    def num_prompt_tokens(tools):
        body = QUESTION | {"tools": tools, "tool_choice": NAMED, "max_tokens": 1}
        return http.post("/v1/chat/completions", json=body).json()["usage"]["prompt_tokens"]

    longer = {**SET_KEY, "description": "Sets the key of the song that is heard."}
    tools = [{"type": "function", "function": longer}]
    assert num_prompt_tokens(tools) > num_prompt_tokens(TOOLS[:1])


def test_a_call_can_be_answered_and_called_again(http, clips):
    def post(messages):
        fields = {"messages": messages, "tools": TOOLS, "tool_choice": NAMED, "max_tokens": 300}
        file = {"file": ("a.mp3", clips["notes.mp3"])}
        answer = http.post("/v1/chat/completions", files=file, data={"request": json.dumps(fields)})
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = post(QUESTION["messages"])
    message = first["choices"][0]["message"]
    result = {
        "role": "tool",
        "tool_call_id": message["tool_calls"][0]["id"],
        "content": "tonic: Input should be 'E'",
    }
    second = post([*QUESTION["messages"], message, result])
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"]
    num_cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert num_cached > first["usage"]["prompt_tokens_details"]["audio_tokens"]
    assert is_call(second["choices"][0]["message"]["tool_calls"][0]["function"])


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"tools": TOOLS}, "tool_choice", "response_format"),
        ({"tools": TOOLS, "tool_choice": "auto"}, "tool_choice", "response_format"),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        (
            {"tools": TOOLS, "tool_choice": "required", "response_format": {"type": "json_object"}},
            "response_format",
            "tool_choice",
        ),
        (
            {
                "tools": [
                    *TOOLS,
                    {"type": "function", "function": {"name": "x", "parameters": {"not": {}}}},
                ],
                "tool_choice": "required",
            },
            "tools[2].function.parameters",
            "not",
        ),
        (
            {
                "functions": [{"name": "x", "parameters": {"type": "string"}}],
                "function_call": {"name": "x"},
            },
            "functions[0].parameters",
            "must be object",
        ),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "x", "description": "<sound>"}}
                ],
                "tool_choice": "required",
            },
            "tools[0].function",
            "control token",
        ),
    ],
)
def test_a_call_that_cannot_be_made_is_refused(http, fields, param, reason):
    error = refusal(http, **fields)
    assert error["param"] == param
    assert reason in error["message"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "assistant"}, "messages[0].content"),
        ({"role": "tool", "tool_call_id": "a"}, "messages[0].content"),
        ({"role": "user", "content": "a", "tool_calls": [{}]}, "messages[0].tool_calls[0].type"),
        (
            {"role": "user", "content": "a", "function_call": {"name": "a", "arguments": ""}},
            "messages[0].function_call",
        ),
        (
            {"role": "tool", "content": [{"type": "audio", "audio": {"data": "AAAA"}}]},
            "messages",
        ),
        ({"role": "tool", "content": "<|im_end|>"}, "messages[0].content"),
    ],
)
def test_a_message_that_cannot_be_is_refused(http, message, param):
    assert refusal(http, messages=[message])["param"].startswith(param)
