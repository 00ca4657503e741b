"""Parsing of request bodies, and the errors for invalid ones."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse, requests


def chat(**fields):
    return {"messages": [{"role": "user", "content": "hi"}]} | fields


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"a":NaN}', b'{"a":Infinity}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "truncated", "list", "null", "nan", "infinity", "not utf-8", "deep"],
)
def test_a_body_that_is_not_a_json_object_is_rejected(body):
    with pytest.raises(BadRequest):
        parse.parse_json_object(body)


def test_all_errors_are_listed_at_once():
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(temperature=9, top_p=-1, seed=2**63))
    assert all(name in str(caught.value) for name in ("temperature", "top_p", "seed"))


def test_an_error_never_repeats_the_input():
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(temperature="sk-secret"))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [{"temperature": "1"}, {"stream": "true"}, {"max_tokens": "8"}, {"logprobs": "1"}],
    ids=str,
)
def test_text_is_converted_to_a_number_only_in_a_form(fields):
    parse.validate_request(requests.ChatRequest, chat(**fields), is_form=True)
    with pytest.raises(BadRequest):
        parse.validate_request(requests.ChatRequest, chat(**fields))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        *(({"max_tokens": text}, "a whole number") for text in ("1_0", " 8", "8 ", "\uff18", "+8")),
        *(({"temperature": text}, "a number") for text in ("inf", "nan", "1e999", "0,5", "1_0.5")),
        *(({"stream": text}, "true or false") for text in ("yes", "on", "t", " true", "2")),
        ({"stop_token_ids": ["5", "1_0"]}, "stop_token_ids[1]: must be a whole number"),
        ({"seed": "1" * 5000}, "a whole number"),
    ],
    ids=ascii,
)
def test_what_only_python_takes_for_a_number_or_boolean_is_refused_in_a_form(fields, expected):
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(**fields), is_form=True)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max_tokens", "8.0", 8),
        ("temperature", ".5", 0.5),
        ("stream", "True", True),
        ("seed", "-5", -5),
    ],
)
def test_the_text_of_a_form_is_converted_to_the_type_of_its_field(name, text, value):
    fields = chat(**{name: text})
    found = getattr(parse.validate_request(requests.ChatRequest, fields, is_form=True), name)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stop", "a", ["a"]),
        ("stop_token_ids", "5", [5]),
        ("guided_choice", "rock", ["rock"]),
    ],
)
def test_a_value_that_a_form_has_once_is_a_list_of_one(name, text, value):
    fields = chat(**{name: text})
    assert (
        getattr(parse.validate_request(requests.ChatRequest, fields, is_form=True), name) == value
    )


def test_the_text_of_a_form_is_no_list_of_objects():
    with pytest.raises(BadRequest, match="belongs in the part request"):
        parse.validate_request(requests.ChatRequest, {"messages": "hi"}, is_form=True)


@pytest.mark.parametrize("name", ["stop_token_ids", "guided_choice"])
def test_in_json_a_list_is_an_array(name):
    with pytest.raises(BadRequest, match="must be an array, not a string"):
        parse.validate_request(requests.ChatRequest, chat(**{name: "5"}))
