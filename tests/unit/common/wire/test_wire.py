import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import BadRequest, UnsupportedParameter
from flamingo_common.wire import (
    openai_embeddings,
    openai_ignored,
    openai_unsupported,
    parse,
    requests,
    responses,
    sse,
)


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        pytest.param({}, "messages", "required", id="no messages"),
        pytest.param(chat(temperature="hot"), "temperature", "number", id="wrong type"),
        pytest.param(chat(temperature=3), "temperature", "2", id="too hot"),
        pytest.param(chat(max_tokens=0), "max_tokens", "1", id="no tokens"),
        pytest.param(chat(stop=["a"] * 5), "stop", "4", id="too many stops"),
        pytest.param(
            {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "user", id="role"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]",
            "input_audio",
            id="unknown part",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "required",
            id="empty part",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"format": "wav"}}],
                    }
                ]
            },
            "messages[0].content[0].input_audio",
            "either data",
            id="audio without audio",
        ),
        pytest.param(chat(repetition_penalty=0), "repetition_penalty", "0", id="no penalty is 1"),
        pytest.param(chat(frequency_penalty=2.1), "frequency_penalty", "2", id="too frequent"),
        pytest.param(chat(presence_penalty=-3), "presence_penalty", "-2", id="too present"),
        pytest.param(chat(logit_bias={"the": 1}), "logit_bias", "digits in quotes", id="a word"),
        pytest.param(chat(logit_bias={"-1": 1}), "logit_bias", "digits in quotes", id="below 0"),
        pytest.param(chat(logit_bias={"7": 101}), "logit_bias.7", "100", id="too strong a bias"),
        pytest.param(
            chat(logit_bias=dict.fromkeys(map(str, range(301)), 1)),
            "logit_bias",
            "300",
            id="too many biases",
        ),
        pytest.param(chat(n=9), "n", "8", id="too many choices"),
        pytest.param(chat(n=0), "n", "1", id="no choice"),
        pytest.param(
            chat(logprobs=True, top_logprobs=21), "top_logprobs", "20", id="too many alternatives"
        ),
        pytest.param(chat(top_logprobs=2), "top_logprobs", "logprobs", id="alternatives to what"),
        pytest.param(
            chat(response_format={"type": "xml"}), "response_format.type", "json_object", id="xml"
        ),
        pytest.param(
            chat(response_format={"type": "json_schema"}),
            "response_format.json_schema",
            "required",
            id="no schema",
        ),
        pytest.param(
            chat(response_format={"type": "json_schema", "json_schema": {"name": "a"}}),
            "response_format.json_schema.schema",
            "required",
            id="an empty wrapping",
        ),
        pytest.param(
            chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "a b", "schema": {}},
                }
            ),
            "response_format.json_schema.name",
            "pattern",
            id="a name with a space",
        ),
    ],
)
def test_a_fault_is_told_with_its_field_and_what_is_allowed(fields, param, says):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, fields)
    assert caught.value.param == param
    assert says in str(caught.value)


def test_all_faults_are_told_at_once():
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(temperature=9, top_p=0, seed=-1))
    assert all(name in str(caught.value) for name in ("temperature", "top_p", "seed"))


def test_a_fault_never_repeats_the_input():
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(temperature="sk-secret"))
    assert "sk-secret" not in str(caught.value)


def test_null_is_what_a_client_sends_for_unset():
    names = ("n", "logprobs", "top_logprobs", "logit_bias", "response_format", "frequency_penalty")
    asked = parse.validate_request(requests.ChatRequest, chat(**dict.fromkeys(names)))
    assert {getattr(asked, name) for name in names} == {None}


def test_token_ids_come_as_json_keys_and_become_numbers():
    asked = parse.validate_request(requests.ChatRequest, chat(logit_bias={"15": -100, "7": 0.5}))
    assert asked.logit_bias == {15: -100, 7: 0.5}


def test_a_schema_is_kept_as_it_came():
    schema = {"type": "object", "properties": {"a": {"const": None}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
    asked = parse.validate_request(requests.ChatRequest, chat(response_format=wanted))
    assert asked.response_format.json_schema.schema_ == schema


def test_unknown_fields_are_ignored_as_openai_does():
    assert parse.validate_request(requests.ChatRequest, chat(extra_body=1, user="me")).user == "me"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"a":NaN}', b'{"a":Infinity}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "nan", "infinity", "no utf-8", "deep"],
)
def test_a_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(BadRequest):
        parse.parse_json_object(body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{}]),
        ("functions", [{}]),
        ("n", 2),
        ("logprobs", True),
        ("audio", {"voice": "alloy"}),
        ("prediction", {"type": "content"}),
        ("web_search_options", {}),
        ("modalities", ["text", "audio"]),
        ("store", True),
        ("reasoning_effort", "high"),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("tool_choice", "required"),
        ("moderation", {"model": "m"}),
        ("service_tier", "priority"),
        ("top_logprobs", 2),
    ],
)
def test_a_parameter_that_would_change_the_answer_is_refused_by_name(name, value):
    with pytest.raises(UnsupportedParameter) as caught:
        openai_unsupported.reject_unsupported({name: value})
    assert caught.value.param == name


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
def test_a_parameter_that_changes_nothing_is_taken(fields):
    openai_unsupported.reject_unsupported(fields, own=openai_unsupported.CHAT_ONLY)
    parse.validate_request(requests.ChatRequest, chat(**fields))
    parse.validate_request(requests.ChatRequest, chat(**dict.fromkeys(fields)))


def test_every_parameter_that_is_taken_for_nothing_is_in_the_table():
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
def test_what_is_taken_for_nothing_has_bounds_too(fields):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(**fields))
    assert caught.value.param.startswith(next(iter(fields)))


@pytest.mark.parametrize(
    "fields",
    [{"temperature": "1"}, {"stream": "true"}, {"max_tokens": "8"}, {"logprobs": 1}],
    ids=str,
)
def test_text_is_a_number_in_a_form_and_nowhere_else(fields):
    parse.validate_request(requests.ChatRequest, chat(**fields), is_form=True)
    with pytest.raises(BadRequest):
        parse.validate_request(requests.ChatRequest, chat(**fields))


def test_a_whole_number_may_be_written_with_a_point():
    asked = parse.validate_request(requests.ChatRequest, chat(max_tokens=8.0, n=2.0))
    assert (asked.max_tokens, asked.n) == (8, 2)
    with pytest.raises(BadRequest):
        parse.validate_request(requests.ChatRequest, chat(max_tokens=8.5))


# OpenAI's way to ask for an embedding.

SONG = "data:audio/mpeg;base64,AAAA"
PARTS = [
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
    {"type": "audio_url", "audio_url": {"url": SONG}},
    {"type": "audio", "audio": {"data": "AAAA"}},
]


@pytest.mark.parametrize(
    ("fields", "num_clips"),
    [
        ({"input": SONG}, 1),
        ({"input": "https://example.com/song.mp3"}, 1),
        ({"input": [SONG, SONG]}, 2),
        *(({"input": part}, 1) for part in PARTS),
        ({"input": [*PARTS, SONG]}, 4),
        *(({"messages": [{"role": "user", "content": [part]}]}, 1) for part in PARTS),
        ({"input": [SONG] * openai_embeddings.MAX_INPUTS}, openai_embeddings.MAX_INPUTS),
    ],
)
def test_a_clip_to_embed_is_named_in_many_ways(fields, num_clips):
    asked = parse.validate_request(openai_embeddings.OpenAIEmbeddingRequest, fields)
    assert len(asked.clips) == num_clips
    assert {clip.data or clip.url for clip in asked.clips} <= {
        "AAAA",
        SONG,
        "https://example.com/song.mp3",
    }


WORDS = {"type": "text", "text": "a sad song"}


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({}, "body", "either input or messages"),
        ({"input": None}, "body", "either input or messages"),
        ({"input": SONG, "messages": [{"role": "user", "content": PARTS[:1]}]}, "body", "either"),
        ({"input": "a sad song"}, "input", "embeds audio, not text"),
        ({"input": [SONG, "a sad song"]}, "input", "embeds audio, not text"),
        ({"input": [1, 2, 3]}, "input", "embeds audio, not text"),
        ({"input": []}, "input", "at least 1"),
        ({"input": [SONG] * 33}, "input", "at most 32"),
        ({"input": WORDS}, "input[0]", "input_audio"),
        ({"input": {"type": "audio", "audio": {}}}, "input[0].audio", "either data"),
        ({"messages": [{"role": "user", "content": "sad"}]}, "messages", "no text"),
        ({"messages": [{"role": "user", "content": PARTS}]}, "messages", "one audio part"),
        ({"messages": [{"role": "user", "content": [WORDS, PARTS[0]]}]}, "messages", "no text"),
        ({"input": SONG, "pooling": "none"}, "pooling", "mean"),
        ({"input": SONG, "encoding_format": "npy"}, "encoding_format", "base64"),
        ({"input": SONG, "dimensions": 0}, "dimensions", "1"),
    ],
)
def test_what_cannot_be_embedded_is_refused_with_its_reason(fields, param, says):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(openai_embeddings.OpenAIEmbeddingRequest, fields)
    assert caught.value.param == param
    assert says in str(caught.value)


@pytest.mark.parametrize("name", sorted(openai_unsupported.CHAT_ONLY))
def test_what_a_route_has_itself_is_not_refused_there(name):
    openai_unsupported.reject_unsupported({name: 2}, own=openai_unsupported.CHAT_ONLY)
    with pytest.raises(UnsupportedParameter):
        openai_unsupported.reject_unsupported({name: 2}, own={"audio"})


@given(st.lists(st.text(max_size=40), max_size=8), st.data())
def test_events_survive_any_cut_of_the_stream(texts, data):
    stream = b": hello\n\n" + b"".join(sse.encode_event(json.dumps(text)) for text in texts)
    decoder, got = sse.EventDecoder(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert [json.loads(payload) for payload in got] == texts


def test_an_event_without_end_is_refused():
    decoder = sse.EventDecoder()
    with pytest.raises(ValueError, match="longer than"):
        decoder.feed(b"data: " + b"x" * (sse.MAX_EVENT_BYTES + 1))


def test_a_delta_leaves_out_what_it_does_not_add():
    assert responses.to_json_dict(responses.Delta(content="a")) == {"content": "a"}
    assert responses.to_json_dict(responses.Delta()) == {}
