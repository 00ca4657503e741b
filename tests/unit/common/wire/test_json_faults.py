"""A body that is not JSON is answered with the place and the usual cause."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse


def refusal(body):
    with pytest.raises(BadRequest) as caught:
        parse.parse_json_object(body)
    return caught.value.message


def test_a_byte_order_mark_is_ignored():
    assert parse.parse_json_object("\ufeff{}".encode()) == {}


def test_of_a_name_that_occurs_twice_the_last_value_counts():
    assert parse.parse_json_object(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_is_named(encoding):
    assert "UTF-16 or UTF-32" in refusal('{"a": 1}'.encode(encoding))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[1]", "must be a JSON object, not an array"),
        (b'"a"', "must be a JSON object, not a string"),
        (b"null", "must be a JSON object, not null"),
        (b'{"a": 1,}', "trailing comma at line 1 column 9"),
        (b"{'a': 1}", "at line 1 column 2; strings are in double quotes"),
        (b"{\"a\": 'b'}", "at line 1 column 7; strings are in double quotes"),
        (b"{a: 1}", "names are in double quotes"),
        (b'{"a": NaN}', "no NaN"),
        (b'{"a": -Infinity}', "no NaN and no Infinity"),
        (b'{"a": True}', "true, false and null"),
        (b'{\n"a": 1, // one\n}', "at line 2"),
        (b'{\n// one\n"a": 1}', "at line 2 column 1; JSON has no comments"),
        (b'{"a": "b\nc"}', r"write a line break in a string as \n"),
        (b'{"a": "\xe9"}', "JSON is sent as UTF-8"),
        (b"prompt=What%20key&max_tokens=8", "name=value"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n', "is a form"),
        (b'{"a": 1', "EOF while parsing an object at line 1"),
        (b'{"a": 1}{}', "trailing characters at line 1 column 9"),
    ],
)
def test_the_message_has_the_place_and_the_cause(body, message):
    assert message in refusal(body)


@pytest.mark.parametrize("body", [b"\n" * 5_000_000 + b"'", b"[" * 5_000_000, b"'" * 5_000_000])
def test_a_large_body_has_a_short_message(body):
    assert len(refusal(body)) < 200
