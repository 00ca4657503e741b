"""Tools, calls and results in the prompt, as Qwen2.5's chat template writes them."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import requests
from flamingo_pod.api.chat import chat
from flamingo_pod.model.builtin import build, tokenizer
from flamingo_pod.text import prompt, tool_text
from flamingo_pod.text.prompt import Snippet, Turn

SET_KEY = tool_text.tool_json("set_key", "Set the key.", {"type": "object"})
TOOLS = [Snippet(SET_KEY, "tools[0].function")]
SIGNATURES = (
    "# Tools\n\n"
    "You may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n"
    '<tools>\n{"type": "function", "function": {"name": "set_key", "description": "Set the key.",'
    ' "parameters": {"type": "object"}}}\n</tools>\n\n'
    "For each function call, return a json object with function name and arguments within"
    " <tool_call></tool_call> XML tags:\n"
    '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


@pytest.fixture(scope="module")
def processor():
    return build._processor(tokenizer.build())


def rendered(processor, turns, beginning=""):
    return processor.tokenizer.decode(prompt.token_ids(processor, turns, 0, beginning))


def turns_of(*messages):
    request = requests.ChatRequest.model_validate({"messages": list(messages)})
    return chat.conversation(request.messages, None)[0]


def calling(*calls, content=None):
    made = [
        {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
        for name, arguments in calls
    ]
    return {"role": "assistant", "content": content, "tool_calls": made}


ASK = {"role": "user", "content": "hi"}
CONVERSATION = [
    ASK,
    calling(("set_key", '{"tonic":"C"}'), ("set_tempo", '{"bpm":90, "name":"é"}')),
    {"role": "tool", "tool_call_id": "c", "content": "done"},
    {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "too slow"}]},
]


def test_tools_follow_the_system_message(processor):
    system = Turn("system", "be brief")
    turns = prompt.with_tools(processor, [system, Turn("user", "hi")], TOOLS)
    text = rendered(processor, turns)
    assert text.startswith(
        f"<|im_start|>system\nbe brief\n\n{SIGNATURES}<|im_end|>\n<|im_start|>us"
    )


def test_tools_follow_the_templates_own_system_message(processor):
    default = rendered(processor, [Turn("user", "hi")]).partition("<|im_end|>")[0]
    turns = prompt.with_tools(processor, [Turn("user", "hi")], TOOLS)
    assert rendered(processor, turns).startswith(f"{default}\n\n{SIGNATURES}<|im_end|>\n")


def test_calls_and_results_are_marked(processor):
    text = rendered(processor, turns_of(*CONVERSATION))
    assert text.endswith(
        "<|im_start|>assistant\n"
        '<tool_call>\n{"name": "set_key", "arguments": {"tonic": "C"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "set_tempo", "arguments": {"bpm": 90, "name": "é"}}\n</tool_call>'
        "<|im_end|>\n"
        "<|im_start|>user\n"
        "<tool_response>\ndone\n</tool_response>\n"
        "<tool_response>\ntoo slow\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_call_of_older_clients_is_marked_alike(processor):
    older = [
        ASK,
        {"role": "assistant", "function_call": {"name": "set_key", "arguments": '{"tonic": "C"}'}},
        {"role": "function", "name": "set_key", "content": "done"},
    ]
    newer = [ASK, calling(("set_key", '{"tonic": "C"}')), {"role": "tool", "content": "done"}]
    assert rendered(processor, turns_of(*older)) == rendered(processor, turns_of(*newer))


def test_an_answer_can_have_text_before_its_call(processor):
    text = rendered(processor, turns_of(ASK, calling(("set_key", "{}"), content="Well:"), ASK))
    assert '<|im_start|>assistant\nWell:\n<tool_call>\n{"name": "set_key"' in text


def test_incomplete_arguments_stay_as_they_are(processor):
    text = rendered(processor, turns_of(ASK, calling(("set_key", '{"tonic": "')), ASK))
    assert '{"name": "set_key", "arguments": {"tonic": "}\n</tool_call>' in text


def test_the_answer_begins_with_the_call(processor):
    for name in ("set_key", None):
        beginning = tool_text.call_beginning(name)
        text = rendered(processor, [Turn("user", "hi")], beginning)
        assert text.endswith(f"<|im_start|>assistant\n{beginning}")


@pytest.mark.parametrize("token", tokenizer.CONTROL_TOKENS)
@pytest.mark.parametrize(
    ("place", "field"),
    [
        ("call", "messages[1].tool_calls[0]"),
        ("result", "messages[2].content"),
        ("tool", "tools[0].function"),
    ],
)
def test_control_tokens_are_rejected_everywhere(processor, token, place, field):
    arguments = f'{{"a": "{token}"}}' if place == "call" else "{}"
    result = {"role": "tool", "content": token if place == "result" else "fine"}
    turns = turns_of(ASK, calling(("set_key", arguments)), result)
    described = tool_text.tool_json("a", token if place == "tool" else "fine", {})
    turns = prompt.with_tools(processor, turns, [Snippet(described, "tools[0].function")])
    with pytest.raises(BadRequest, match="control token") as caught:
        prompt.token_ids(processor, turns, 0)
    assert caught.value.param == field


def test_the_marks_of_calls_may_be_tokens_of_the_template():
    processor = build._processor(tokenizer.build())
    processor.tokenizer.add_tokens(["<tool_call>", "</tool_call>"])
    processor.tokenizer.chat_template = "{{ '<tool_call></tool_call>' }}"
    turns = prompt.with_tools(processor, turns_of(*CONVERSATION), TOOLS)
    assert len(prompt.token_ids(processor, turns, 0, tool_text.call_beginning("set_key")))
    with pytest.raises(BadRequest, match="control token '</tool_call>'"):
        prompt.token_ids(processor, [Turn("user", "</tool_call>")], 0)
