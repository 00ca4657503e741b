"""Unknown parameters are refused with their path and a suggestion, at little cost."""

import pytest
from fakes import steps

from flamingo_common.errors import UnknownParameter, UnsupportedParameter
from flamingo_common.wire import analysis, openai_embeddings, parse, requests, responses

AUDIO = {"audio": {"data": ""}}


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


def refusal(fields, kind=requests.ChatRequest):
    with pytest.raises(UnknownParameter) as caught:
        parse.validate_request(kind, fields)
    return caught.value


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temprature", "temperature"),
        ("max_token", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("top-p", "top_p"),
        ("strem", "stream"),
        ("modle", "model"),
        ("Seed", "seed"),
        ("top p", "top_p"),
        ("TopLogprobs", "top_logprobs"),
        ("format", "response_format"),
        ("max_new_tokens", "max_tokens"),
        ("num_predict", "max_tokens"),
        ("stop_sequences", "stop"),
        ("repeat_penalty", "repetition_penalty"),
        ("responseFormat", "response_format"),
        ("include_usage", "stream_options"),
        ("guided_jsno", "guided_json"),
    ],
)
def test_an_unknown_parameter_is_named_with_the_one_that_was_meant(name, meant):
    error = refusal(chat(**{name: 1}))
    assert error.param == name
    assert error.message == f"parameter {name!r} is unknown; did you mean {meant!r}?"


@pytest.mark.parametrize("name", ["foo", "x", "", "size", "t" * 65])
def test_a_name_like_no_other_has_no_suggestion(name):
    assert "did you mean" not in refusal(chat(**{name: 1})).message


def part(**fields):
    return {"messages": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("fields", "param", "meant"),
    [
        (chat(stream_options={"include_useage": True}), "stream_options.include_useage", "usage"),
        (chat(response_format={"type": "text", "foo": 1}), "response_format.foo", ""),
        (
            chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {}, "strct": True},
                }
            ),
            "response_format.json_schema.strct",
            "strict",
        ),
        ({"messages": [{"role": "user", "content": "a", "contnt": "b"}]}, "messages[0].contnt", ""),
        (part(type="text", text="a", txt="b"), "messages[0].content[0].txt", "text"),
        (
            part(type="input_audio", input_audio={"data": "", "fromat": "mp3"}),
            "messages[0].content[0].input_audio.fromat",
            "format",
        ),
        (
            part(type="audio_url", audio_url={"url": "data:,", "ur": 1}),
            "messages[0].content[0].audio_url.ur",
            "url",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_unknown_parameter_of_a_nested_object_has_its_path(fields, param, meant):
    error = refusal(fields)
    assert error.param == param
    assert repr(param) in error.message
    assert meant in error.message


@pytest.mark.parametrize(
    ("kind", "fields", "route"),
    [
        (requests.CaptionRequest, AUDIO | {"messages": []}, "/v1/chat/completions"),
        (requests.CaptionRequest, AUDIO | {"pooling": "mean"}, "/v1/audio/analyze"),
        (requests.EmbeddingRequest, AUDIO | {"style": "brief"}, "/v1/audio/captions"),
        (requests.EmbeddingRequest, AUDIO | {"dimensions": 8}, "/v1/embeddings"),
        (analysis.AnalyzeRequest, AUDIO | {"stream_options": {}}, "/v1/chat/completions"),
        (requests.ChatRequest, chat(style="brief"), "/v1/audio/captions"),
        (
            openai_embeddings.OpenAIEmbeddingRequest,
            {"input": "data:,", "max_tokens": 8},
            "/v1/chat/completions",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_parameter_of_another_route_is_answered_with_that_route(kind, fields, route):
    assert "is a field of" in refusal(fields, kind).message
    assert route in refusal(fields, kind).message


def test_an_argument_of_a_client_is_explained():
    assert "argument of OpenAI's clients" in refusal(chat(extra_body={"top_k": 1})).message


def test_all_errors_are_listed_at_once_and_the_unknown_come_first():
    fields = chat(temperature=9, echo=True, temprature=1, stream_options={"foo": 1})
    error = refusal(fields)
    assert error.param == "temprature"
    for name in ("'temprature'", "'stream_options.foo'", "'echo'", "temperature:"):
        assert name in error.message


def test_of_ten_thousand_unknown_parameters_a_few_are_listed_and_all_counted():
    error = refusal(chat(**{f"foo{number}": 1 for number in range(10_000)}))
    assert error.message.endswith("and 9992 more")
    assert len(error.message) < 1000


def test_unknown_parameters_of_many_objects_are_limited_together():
    bad = {"role": "user", "content": "a"} | {f"foo{number}": 1 for number in range(9)}
    error = refusal({"messages": [bad] * 256})
    assert error.message.endswith(f"and {256 * 9 - 8} more")


def test_more_unknown_parameters_cost_no_more_work():
    few, many = (chat(**{f"foo{number}": 1 for number in range(count)}) for count in (100, 100_000))
    assert steps.num_steps(lambda: refusal(many)) == steps.num_steps(lambda: refusal(few))


def test_a_long_name_is_not_repeated():
    error = refusal(chat(**{"a" * 1_000_000: 1}))
    assert len(error.message) < 200
    assert len(error.param) < 100


def test_control_characters_of_a_name_are_escaped():
    assert "\n" not in refusal(chat(**{"a\nb": 1})).message


ECHOED = [
    {"refusal": None, "annotations": [], "audio": None, "function_call": None, "tool_calls": None},
    {"refusal": None, "annotations": [{"type": "url_citation"}], "tool_calls": []},
    {"name": "me", "reasoning_content": "hm", "reasoning": "hm"},
    {"cache_control": {"type": "ephemeral"}, "provider_specific_fields": {"refusal": None}},
    {"id": "msg-1", "prefix": False},
]


@pytest.mark.parametrize("extra", ECHOED, ids=str)
def test_a_message_of_an_earlier_response_is_accepted(extra):
    own = responses.AssistantMessage(content="Jazz.").model_dump()
    asked, again = ({"role": "user", "content": text} for text in ("A genre?", "Another?"))
    parsed = parse.validate_request(requests.ChatRequest, {"messages": [asked, own | extra, again]})
    assert parsed.messages[1].content == "Jazz."


@pytest.mark.parametrize(
    "content",
    [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "a", "prompt_cache_breakpoint": {}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}, "uuid": "1"},
        {"type": "audio_url", "audio_url": {"url": "data:,", "detail": "auto"}, "uuid": None},
        {"type": "audio_url", "audio_url": {"url": "data:,", "uuid": "1", "format": "mp3"}},
    ],
    ids=str,
)
def test_what_clients_add_to_parts_is_accepted(content):
    parse.validate_request(requests.ChatRequest, part(**content))


@pytest.mark.parametrize(
    "content",
    [
        {"type": "text", "text": "a"},
        {"type": "input_audio", "input_audio": {"data": "", "url": None}},
        {"type": "audio_url", "audio_url": {"url": "data:,"}},
        {"type": "audio", "audio": {"data": ""}},
    ],
    ids=lambda content: content["type"],
)
def test_a_part_may_have_the_fields_of_other_parts_as_null(content):
    columns = dict.fromkeys(("text", "input_audio", "audio_url", "audio"))
    parsed = parse.validate_request(requests.ChatRequest, part(**columns | content))
    assert parsed.messages[0].content[0].type == content["type"]


def test_a_field_of_another_part_is_answered_with_its_type():
    fields = part(type="text", text="a", input_audio={"data": ""})
    with pytest.raises(UnsupportedParameter, match="type input_audio") as raised:
        parse.validate_request(requests.ChatRequest, fields)
    assert raised.value.param == "messages[0].content[0].input_audio"


def budget(kind=requests.CaptionRequest, *, is_form=False, **fields):
    fields = {"audio": {"data": ""}} | fields
    return parse.validate_request(kind, fields, is_form=is_form).thinking_token_budget


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "none"},
        {"reasoning": {"enabled": False}},
        {"think": False},
        {"thinking": {"type": "disabled"}},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"enable_thinking": False, "thinking_token_budget": 9},
    ],
    ids=str,
)
def test_what_asks_for_no_reasoning_is_a_budget_of_none(fields):
    assert budget(**fields) == 0


@pytest.mark.parametrize("fields", [{"reasoning_effort": "none"}, {"think": "False"}], ids=str)
def test_a_form_can_ask_for_no_reasoning(fields):
    assert budget(is_form=True, **fields) == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": None, "chat_template_kwargs": {}, "think": None}, None),
        ({"chat_template_kwargs": {}, "thinking_token_budget": 9}, 9),
        ({"use_beam_search": False}, None),
    ],
    ids=str,
)
def test_what_asks_for_nothing_is_no_budget(fields, expected):
    assert budget(**fields) == expected


@pytest.mark.parametrize("fields", [{"reasoning_effort": "low"}, {"think": True}], ids=str)
def test_a_level_of_reasoning_is_refused_with_what_to_use(fields):
    with pytest.raises(UnsupportedParameter, match="thinking_token_budget"):
        budget(**fields)
