"""Errors and their HTTP representation."""

import json
import pickle

import pytest

from flamingo_common import errors

ALL = sorted(errors.BY_CODE.items())


@pytest.mark.parametrize(("code", "cls"), ALL, ids=[code for code, _ in ALL])
def test_an_error_is_parsed_as_the_class_that_was_sent(code, cls):
    sent = cls("a message", param="audio")
    got = errors.from_response(sent.status, json.dumps(errors.to_body(sent)).encode())
    assert type(got) is cls
    assert (got.message, got.param, got.code) == ("a message", "audio", code)


@pytest.mark.parametrize(("code", "cls"), ALL, ids=[code for code, _ in ALL])
def test_an_error_can_be_pickled(code, cls):
    sent = cls("a message", param="audio", retry_after_s=2.5)
    got = pickle.loads(pickle.dumps(sent))
    assert (type(got), str(got), got.param, got.retry_after_s) == (cls, str(sent), "audio", 2.5)


def test_the_docstring_has_every_error():
    for code, cls in ALL:
        row = next(line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in line)
        assert code in row
        assert str(cls.status) in row


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        pytest.param(502, b"<html>Bad Gateway</html>", errors.UpstreamLost, id="a proxy's page"),
        pytest.param(500, b"", errors.InternalError, id="empty"),
        pytest.param(418, b"[]", errors.BadRequest, id="a status without a class"),
        pytest.param(599, b'{"error": "no"}', errors.InternalError, id="another format"),
        pytest.param(404, b'{"error":{"message":"x","code":3}}', errors.NotFound, id="odd code"),
    ],
)
def test_a_response_in_another_format_is_an_error_of_its_status(status, body, cls):
    assert type(errors.from_response(status, body)) is cls


@pytest.mark.parametrize(
    ("wait_s", "seconds", "milliseconds"),
    [(0.2, "1", "200"), (3.0, "3", "3000"), (400.0, "60", "60000"), (-1.0, "0", "0")],
)
def test_retry_after_is_rounded_up_and_limited(wait_s, seconds, milliseconds):
    headers = errors.response_headers(errors.Overloaded("full", retry_after_s=wait_s))
    assert headers == {"Retry-After": seconds, "retry-after-ms": milliseconds}


def test_an_invalid_request_is_not_retried():
    assert errors.response_headers(errors.InvalidAudio("no")) == {"x-should-retry": "false"}


def test_all_lists_every_public_name():
    public = {cls.__name__ for _, cls in ALL} | {"FlamingoError", "BY_CODE", "MAX_RETRY_AFTER_S"}
    public.add("MISCONFIGURED")
    public |= {"from_response", "response_headers", "to_body"}
    assert set(errors.__all__) == public


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1_0", " 1", "1e999", "\uff11", "soon", ""])
def test_a_retry_after_that_is_no_time_is_ignored(text):
    assert errors.from_response(429, b"", text).retry_after_s is None
