"""A real pod that lets its model decide whether to call a function, as OpenAI's clients do."""

import json
import re

import httpx2
import openai
import pytest
from fakes import calling_checkpoint, processes

TEXT = "".join(calling_checkpoint.TEXT)
KEY = {
    "type": "object",
    "properties": {"tonic": {"enum": ["C", "D"]}, "is_minor": {"type": "boolean"}},
    "required": ["tonic", "is_minor"],
}
SET_KEY = {"name": "set_key", "description": "Sets the key.", "parameters": KEY}
TOOLS = [
    {"type": "function", "function": SET_KEY},
    {"type": "function", "function": {"name": "set"}},
]
QUESTION = {"messages": [{"role": "user", "content": "What key?"}]}
ASKED = QUESTION | {"max_tokens": 200, "temperature": 0, "tools": TOOLS, "model": "calling"}
CLOSED = KEY | {"additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "key", "schema": CLOSED}}
MORE = calling_checkpoint.bias_for_more(is_certain=True)


spelled = pytest.mark.parametrize("has_marks", [False], indirect=True, scope="module")
"""With a model that writes each mark with several tokens."""


@pytest.fixture(scope="module")
def has_marks(request):
    """Whether the tokenizer has a token for each mark."""
    return getattr(request, "param", True)


@pytest.fixture(scope="module")
def address(model_cache, tmp_path_factory, has_marks):
    """A router before a pod whose model calls a function by itself."""
    folder = tmp_path_factory.mktemp("calling")
    model = calling_checkpoint.write(folder / "model", has_marks=has_marks)
    flags = ("--model", str(model), "--served-model-name", "calling", "--enable-auto-tool-choice")
    with processes.service("flamingo_pod", *flags, log=folder / "pod") as pod:
        processes.wait_until_ready(pod)
        endpoint = ("--endpoint", pod.address)
        with processes.service("flamingo_router", *endpoint, log=folder / "router") as router:
            processes.wait_until_ready(router)
            yield router.address


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(client):
    def create(**fields):
        return client.chat.completions.create(**ASKED | fields)

    return create


@pytest.fixture
def refusal(address):
    def send(path="/v1/chat/completions", **fields):
        answer = httpx2.post(f"{address}{path}", json=fields, timeout=60)
        assert answer.status_code == 400, answer.text
        return answer.json()["error"]

    return send


@pytest.fixture
def no_calls(has_marks):
    return calling_checkpoint.bias_against_calls(has_marks=has_marks)


def is_call(function):
    arguments = json.loads(function.arguments)
    if function.name == "set":
        return arguments == {}
    return set(arguments) == {"tonic", "is_minor"} and arguments["tonic"] in "CD"


@pytest.mark.parametrize("choice", [{}, {"tool_choice": "auto"}], ids=str)
def test_a_model_that_calls_a_function_is_answered_as_at_openai(chat, choice):
    (made,) = chat(**choice).choices
    assert made.finish_reason == "tool_calls"
    assert made.message.content == TEXT
    (call,) = made.message.tool_calls
    assert re.fullmatch("call_[0-9a-f]{24}", call.id)
    assert is_call(call.function)


def test_a_model_that_does_not_call_answers_with_text(chat, no_calls):
    (made,) = chat(logit_bias=no_calls).choices
    assert (made.finish_reason, made.message.content) == ("stop", TEXT)
    assert made.message.tool_calls is None


def test_text_before_a_call_may_be_missing(chat, client, has_marks):
    first = calling_checkpoint.first_of_mark(has_marks=has_marks)
    options = {"logit_bias": {str(first): 100.0}, "parallel_tool_calls": False}
    (made,) = chat(**options).choices
    assert made.message.content is None
    assert is_call(made.message.tool_calls[0].function)
    deltas = [chunk.choices[0].delta for chunk in chat(**options, stream=True)]
    assert all(delta.content is None for delta in deltas)


def streamed(chunks):
    """Return the content, the calls and the finish reason of a stream, as it is to be read."""
    content, calls, reason = None, [], None
    for chunk in chunks:
        (choice,) = chunk.choices
        reason = choice.finish_reason or reason
        if choice.delta.content is not None:
            assert not calls  # text comes first
            content = (content or "") + choice.delta.content
        for part in choice.delta.tool_calls or ():
            if part.id is not None:
                assert (part.index, part.function.arguments) == (len(calls), "")
                calls.append([part.function.name, ""])
            calls[part.index][1] += part.function.arguments
    return content, calls, reason


@pytest.mark.parametrize("fields", [{}, {"logprobs": True}, {"max_tokens": 20}], ids=str)
def test_a_stream_is_the_whole_answer(chat, fields):
    (whole,) = chat(**fields).choices
    chunks = list(chat(**fields, stream=True))
    calls = [[one.function.name, one.function.arguments] for one in whole.message.tool_calls or ()]
    assert streamed(chunks) == (whole.message.content, calls, whole.finish_reason)
    if fields.get("logprobs"):
        parts = [chunk.choices[0].logprobs for chunk in chunks]
        tokens = [one.token for part in parts if part for one in part.content]
        assert tokens == [one.token for one in whole.logprobs.content]


def test_answers_have_several_calls_unless_they_are_not_to_be_parallel(chat):
    bias = calling_checkpoint.bias_for_more(is_certain=False)
    options = {"temperature": 1, "n": 8, "seed": 2, "logit_bias": bias, "max_tokens": 400}
    choices = chat(**options).choices
    ended = [one for one in choices if one.finish_reason == "tool_calls"]
    assert max(len(one.message.tool_calls) for one in ended) > 1
    for choice in choices:
        assert all(is_call(call.function) for call in choice.message.tool_calls[:-1])
        ids = {call.id for call in choice.message.tool_calls}
        assert len(ids) == len(choice.message.tool_calls)
    for choice in chat(**options, parallel_tool_calls=False).choices:
        assert len(choice.message.tool_calls) == 1


def test_several_calls_are_streamed_one_after_the_other(chat):
    options = {"logit_bias": MORE, "max_tokens": 150}
    (whole,) = chat(**options).choices
    assert len(whole.message.tool_calls) > 1
    assert whole.finish_reason == "length"
    calls = [[one.function.name, one.function.arguments] for one in whole.message.tool_calls]
    found = streamed(chat(**options, stream=True))
    assert found == (whole.message.content, calls, "length")


@pytest.mark.parametrize("max_tokens", [2, 5, 14, 32])
def test_an_answer_that_is_cut_is_a_beginning_of_the_whole_one(chat, max_tokens):
    (whole,) = chat().choices
    (cut,) = chat(max_tokens=max_tokens).choices
    assert TEXT.startswith(cut.message.content or "")
    for call in cut.message.tool_calls or ():
        expected = whole.message.tool_calls[0].function
        assert call.function.name == expected.name
        assert expected.arguments.startswith(call.function.arguments)


def test_a_stop_string_ends_the_answer_in_its_text_and_behind_a_call(chat):
    (made,) = chat(stop=["i."]).choices
    assert (made.message.content, made.finish_reason) == ("H", "stop")
    (made,) = chat(stop=["</tool_call>"]).choices
    assert (len(made.message.tool_calls), made.finish_reason) == (1, "tool_calls")
    (made,) = chat(stop=['"name"']).choices
    assert (made.message.tool_calls, made.finish_reason) == (None, "stop")


def test_allowed_tools_are_those_that_are_called(chat):
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "set"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    (made,) = chat(tool_choice=choice).choices
    assert made.message.tool_calls[0].function.name == "set"
    assert made.finish_reason == "tool_calls"


@pytest.mark.parametrize("choice", [{}, {"function_call": "auto"}], ids=str)
def test_older_clients_get_one_function_call(client, choice):
    asked = {name: value for name, value in ASKED.items() if name != "tools"} | choice
    asked |= {"functions": [SET_KEY], "logit_bias": MORE}
    (made,) = client.chat.completions.create(**asked).choices
    assert made.finish_reason == "function_call"
    assert made.message.content == TEXT
    assert is_call(made.message.function_call)
    assert made.message.tool_calls is None
    chunks = list(client.chat.completions.create(**asked, stream=True))
    parts = [chunk.choices[0].delta.function_call for chunk in chunks]
    names = [part.name for part in parts if part and part.name]
    assert names == ["set_key"]
    arguments = "".join(part.arguments for part in parts if part)
    assert arguments == made.message.function_call.arguments
    assert chunks[-1].choices[0].finish_reason == "function_call"


def test_an_answer_has_the_format_of_the_request_or_is_a_call(chat, has_marks):
    first = calling_checkpoint.first_of_mark(has_marks=has_marks)
    (made,) = chat(response_format=FORMAT, logit_bias={str(first): 100.0}).choices
    assert made.message.content is None
    assert is_call(made.message.tool_calls[0].function)
    spelled_too = calling_checkpoint.first_of_mark(has_marks=False)
    bias = dict.fromkeys(map(str, {first, spelled_too}), -100.0)
    (made,) = chat(response_format=FORMAT, logit_bias=bias).choices
    assert set(json.loads(made.message.content)) == {"tonic", "is_minor"}
    assert (made.message.tool_calls, made.finish_reason) == (None, "stop")


def test_calls_and_their_results_are_part_of_the_next_turn(chat, no_calls):
    first = chat()
    message = first.choices[0].message
    calls = [{**message.tool_calls[0].model_dump(), "id": f"call_{at}"} for at in range(2)]
    said = {"role": "assistant", "content": message.content, "tool_calls": calls}
    results = [{"role": "tool", "tool_call_id": one["id"], "content": "done"} for one in calls]
    second = chat(messages=[*ASKED["messages"], said, *results], logit_bias=no_calls)
    assert second.choices[0].message.content == TEXT
    assert second.usage.prompt_tokens > first.usage.total_tokens
    # The turn is shown as it was written, so what was computed of it is used again.
    num_cached = second.usage.prompt_tokens_details.cached_tokens
    assert num_cached > first.usage.prompt_tokens


def test_a_schema_that_cannot_be_enforced_is_refused_before_any_call(refusal):
    tool = {"type": "function", "function": {"name": "x", "parameters": {"not": {}}}}
    error = refusal(**QUESTION, tools=[*TOOLS, tool])
    assert error["param"] == "tools[2].function.parameters"


RESPONSES_TOOLS = [{"type": "function", **tool["function"]} for tool in TOOLS]
RESPONSES = {"model": "calling", "input": "What key?", "tools": RESPONSES_TOOLS, "temperature": 0}


def test_a_response_has_a_message_and_calls(client, no_calls):
    response = client.responses.create(**RESPONSES, max_output_tokens=200)
    message, call = response.output
    assert (message.type, call.type) == ("message", "function_call")
    assert message.content[0].text == TEXT
    assert is_call(call)
    assert (response.status, response.parallel_tool_calls) == ("completed", True)
    asked = RESPONSES | {"parallel_tool_calls": False, "extra_body": {"logit_bias": no_calls}}
    response = client.responses.create(**asked)
    assert [item.type for item in response.output] == ["message"]
    assert response.parallel_tool_calls is False


def test_a_response_is_streamed_item_by_item(client):
    asked = RESPONSES | {"max_output_tokens": 150, "extra_body": {"logit_bias": MORE}}
    whole = client.responses.create(**asked)
    events = list(client.responses.create(**asked, stream=True))
    items = [event.item for event in events if event.type == "response.output_item.done"]
    kinds = [item.type for item in items]
    assert kinds[:3] == ["message", "function_call", "function_call"]
    assert kinds == [item.type for item in whole.output]
    assert len({item.id for item in items}) == len(items)
    indices = [each.output_index for each in events if each.type == "response.output_item.added"]
    assert indices == list(range(len(items)))
    for item in items[1:]:
        parts = [
            event.delta
            for event in events
            if event.type == "response.function_call_arguments.delta" and event.item_id == item.id
        ]
        assert "".join(parts) == item.arguments
    assert events[-1].type == "response.incomplete"


def test_a_call_of_a_response_and_its_result_are_sent_back(client, no_calls):
    first = client.responses.create(**RESPONSES, max_output_tokens=200)
    call = first.output[1]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "done"}
    items = [{"role": "user", "content": "What key?"}, *first.output, result]
    asked = RESPONSES | {"input": items, "extra_body": {"logit_bias": no_calls}}
    assert client.responses.create(**asked).output_text == TEXT


@spelled
def test_marks_of_several_tokens_are_found_as_well(chat, client, no_calls):
    (made,) = chat().choices
    assert (made.message.content, made.finish_reason) == (TEXT, "tool_calls")
    (call,) = made.message.tool_calls
    assert is_call(call.function)
    found = streamed(chat(stream=True))
    assert found == (TEXT, [[call.function.name, call.function.arguments]], "tool_calls")
    (many,) = chat(logit_bias=MORE).choices
    assert len(many.message.tool_calls) > 1
    assert chat(logit_bias=no_calls).choices[0].message.content == TEXT
    for max_tokens in (5, 11):
        (cut,) = chat(max_tokens=max_tokens).choices
        assert (cut.message.content, cut.message.tool_calls) == (TEXT[:max_tokens], None)
    response = client.responses.create(**RESPONSES, max_output_tokens=200)
    assert [item.type for item in response.output] == ["message", "function_call"]


def test_without_the_flag_the_error_names_it(http):
    for fields in ({"tools": TOOLS}, {"tools": TOOLS, "tool_choice": "auto"}):
        answer = http.post("/v1/chat/completions", json=QUESTION | fields)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == "tool_choice"
        assert "--enable-auto-tool-choice" in error["message"]
    answer = http.post("/v1/responses", json={"input": "x", "tools": RESPONSES_TOOLS})
    assert "--enable-auto-tool-choice" in answer.json()["error"]["message"]
