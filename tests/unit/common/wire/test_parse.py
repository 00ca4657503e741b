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
        parse.validate_request(requests.ChatRequest, chat(temperature=9, top_p=0, seed=-1))
    assert all(name in str(caught.value) for name in ("temperature", "top_p", "seed"))


def test_an_error_never_repeats_the_input():
    with pytest.raises(BadRequest) as caught:
        parse.validate_request(requests.ChatRequest, chat(temperature="sk-secret"))
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [{"temperature": "1"}, {"stream": "true"}, {"max_tokens": "8"}, {"logprobs": 1}],
    ids=str,
)
def test_text_is_converted_to_a_number_only_in_a_form(fields):
    parse.validate_request(requests.ChatRequest, chat(**fields), is_form=True)
    with pytest.raises(BadRequest):
        parse.validate_request(requests.ChatRequest, chat(**fields))
