"""Request bodies: the limits of each field."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse, request_body, requests


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        pytest.param({}, "messages", "required", id="no messages"),
        pytest.param(chat(temperature="hot"), "temperature", "number", id="wrong type"),
        pytest.param(chat(temperature=3), "temperature", "2", id="too hot"),
        pytest.param(chat(max_tokens=0), "max_tokens", "1", id="no tokens"),
        pytest.param(chat(stop=["a"] * 5), "stop", "4", id="too many stops"),
        pytest.param(
            {"messages": [{"role": "bot", "content": "x"}]},
            "messages[0].role",
            "user",
            id="role",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].type",
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
            "exactly one of data",
            id="empty audio input",
        ),
        pytest.param(chat(repetition_penalty=0), "repetition_penalty", "0", id="repetition"),
        pytest.param(chat(frequency_penalty=2.1), "frequency_penalty", "2", id="frequency penalty"),
        pytest.param(chat(presence_penalty=-3), "presence_penalty", "-2", id="presence penalty"),
        pytest.param(chat(logit_bias={"the": 1}), "logit_bias", "token id", id="bias of a word"),
        pytest.param(chat(logit_bias={"-1": 1}), "logit_bias", "token id", id="negative id"),
        pytest.param(chat(logit_bias={"7": 101}), "logit_bias.7", "100", id="bias too large"),
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
        pytest.param(chat(top_logprobs=2), "top_logprobs", "logprobs", id="no logprobs"),
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
            id="json_schema without schema",
        ),
        pytest.param(
            chat(
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "a b", "schema": {}},
                }
            ),
            "response_format.json_schema.name",
            "1 to 64 characters",
            id="a name with a space",
        ),
    ],
)
def test_an_invalid_field_is_rejected_with_its_path_and_limit(fields, param, reason):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, fields)
    assert caught.value.param == param
    assert reason in str(caught.value)


def test_null_means_unset():
    names = ("n", "logprobs", "top_logprobs", "logit_bias", "response_format", "frequency_penalty")
    parsed = parse.validate_request(requests.ChatRequest, chat(**dict.fromkeys(names)))
    assert {getattr(parsed, name) for name in names} == {None}


def test_token_ids_are_json_keys_and_become_numbers():
    parsed = parse.validate_request(requests.ChatRequest, chat(logit_bias={"15": -100, "7": 0.5}))
    assert parsed.logit_bias == {15: -100, 7: 0.5}


def test_a_json_schema_is_kept_unchanged():
    schema = {"type": "object", "properties": {"a": {"const": None}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}}
    parsed = parse.validate_request(requests.ChatRequest, chat(response_format=wanted))
    assert parsed.response_format.json_schema.schema_ == schema


def test_an_integer_may_have_a_decimal_point():
    parsed = parse.validate_request(requests.ChatRequest, chat(max_tokens=8.0, n=2.0))
    assert (parsed.max_tokens, parsed.n) == (8, 2)
    with pytest.raises(BadRequest):
        parse.validate_request(requests.ChatRequest, chat(max_tokens=8.5))


@pytest.mark.parametrize("kind", [requests.AudioInput, requests.AudioUrl])
def test_only_a_data_url_may_be_long(kind):
    long = "A" * 2 * request_body.MAX_URL_CHARS
    kind.model_validate({"url": f"data:audio/wav;base64,{long}"})
    with pytest.raises(BadRequest, match="at most 8192 characters"):
        parse.validate_request(kind, {"url": f"https://example.org/{long}"})
