import json
import pickle

import pytest

from flamingo_common import errors

EVERY = sorted(errors.BY_CODE.items())


@pytest.mark.parametrize(("code", "cls"), EVERY, ids=[code for code, _ in EVERY])
def test_an_error_arrives_as_the_class_that_was_raised(code, cls):
    sent = cls("what was wrong", param="audio")
    got = errors.from_response(sent.status, json.dumps(errors.to_body(sent)).encode())
    assert type(got) is cls
    assert (got.message, got.param, got.code) == ("what was wrong", "audio", code)


@pytest.mark.parametrize(("code", "cls"), EVERY, ids=[code for code, _ in EVERY])
def test_an_error_survives_the_way_out_of_a_worker_process(code, cls):
    sent = cls("what was wrong", param="audio", retry_after_s=2.5)
    got = pickle.loads(pickle.dumps(sent))
    assert (type(got), str(got), got.param, got.retry_after_s) == (cls, str(sent), "audio", 2.5)


def test_every_error_of_the_tree_is_drawn_in_its_docstring():
    for code, cls in EVERY:
        row = next(line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in line)
        assert code in row
        assert str(cls.status) in row


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        pytest.param(502, b"<html>Bad Gateway</html>", errors.UpstreamLost, id="a proxy's page"),
        pytest.param(500, b"", errors.InternalError, id="nothing"),
        pytest.param(418, b"[]", errors.BadRequest, id="a status without a class"),
        pytest.param(599, b'{"error": "no"}', errors.InternalError, id="another shape"),
        pytest.param(404, b'{"error":{"message":"x","code":3}}', errors.NotFound, id="odd code"),
    ],
)
def test_an_answer_of_another_shape_is_an_error_of_the_right_family(status, body, cls):
    assert type(errors.from_response(status, body)) is cls


@pytest.mark.parametrize(
    ("wait_s", "seconds", "milliseconds"),
    [(0.2, "1", "200"), (3.0, "3", "3000"), (400.0, "60", "60000"), (-1.0, "0", "0")],
)
def test_retry_after_is_rounded_up_and_never_ignored_by_clients(wait_s, seconds, milliseconds):
    headers = errors.response_headers(errors.Overloaded("full", retry_after_s=wait_s))
    assert headers == {"Retry-After": seconds, "retry-after-ms": milliseconds}


def test_what_cannot_succeed_is_not_retried():
    assert errors.response_headers(errors.InvalidAudio("no")) == {"x-should-retry": "false"}
