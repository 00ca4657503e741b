"""The options of a request that matter to the router."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import BadRequest
from flamingo_common.wire.priority import Priority
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.request import hints
from flamingo_router.request.clip_part import ClipPart

ROUTE = "/v1/audio/captions"


@pytest.mark.parametrize(
    ("body", "max_tokens", "is_stream"),
    [
        (b'{"model": "m", "max_tokens": 16, "stream": true, "messages": [', 16, True),
        (b'{"max_completion_tokens":64,"n":4,"stream":false}', 256, False),
        (b'{"n": 999, "max_tokens": 1}', 8, False),
        (b'{"max_output_tokens": 12, "stream": true}', 12, True),
        (rb'{"messages": [{"content": "say \"max_tokens\": 9, \"stream\": true"}]}', None, False),
        (b'--x\r\nContent-Disposition: form-data; name="max_tokens"\r\n\r\n32\r\n--x', 32, False),
        (b'--x\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--x', None, True),
        (b'--x\r\nname="request"\r\n\r\n{"max_tokens": 7, "stream": true}\r\n', 7, True),
        (b"", None, False),
        (b'"max_tokens" "stream"', None, False),
    ],
)
def test_options_are_found_wherever_they_stand(body, max_tokens, is_stream):
    found = hints.parse_body(body)
    assert (found.max_tokens, found.is_stream) == (max_tokens, is_stream)


def test_choices_are_counted_up_to_their_maximum():
    assert hints.parse_body(b'{"n": 4}').num_answers == 4
    assert hints.parse_body(b'{"n": 999}').num_answers == 8
    assert hints.parse_body(b'{"n": 0}').num_answers == 1


@pytest.mark.parametrize(
    ("body", "num_questions"),
    [
        (b'{"questions": [{"instructions": "a"}, {"instructions" : "b"}], "input": [', 2),
        (b'{"orders": 3, "questions": [{"instructions": "a"}, {"instructions": "b"}]', 6),
        (b'{"orders": 99, "questions": [' + b'{"instructions": "a"},' * 500, 6400),
        (rb'{"input": "say \"instructions\"", "questions": []}', 0),
        (b'name="orders"\r\n\r\n2\r\nname="request"\r\n\r\n{"questions": [{"instructions":', 2),
    ],
)
def test_questions_before_the_audio_are_counted_in_each_order(body, num_questions):
    assert hints.parse_body(body).num_questions == num_questions


@given(st.binary(max_size=300))
def test_no_body_breaks_the_parser(body):
    hints.parse_body(b'"max_tokens":' + body + b'"stream"')


def test_headers_carry_priority_and_deadline():
    headers = {"x-flamingo-priority": " High ", "x-flamingo-deadline-ms": "1500"}
    info = hints.parse_headers(ROUTE, headers, now_s=10)

    assert info == RequestInfo(ROUTE, priority=Priority.HIGH, deadline_s=11.5)
    assert hints.parse_headers(ROUTE, {}, now_s=10) == RequestInfo(ROUTE)
    with pytest.raises(BadRequest, match="expected high, normal or low"):
        hints.parse_headers(ROUTE, {"x-flamingo-priority": "0"}, now_s=0)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b'{"start": 60, "end": 90.5, "audio": {', ClipPart(60.0, 90.5)),
        (b'{"end": 5, "audio": {', ClipPart(0.0, 5.0)),
        (b'--x\r\nname="start"\r\n\r\n12.25\r\n--x', ClipPart(12.25, None)),
        (rb'{"prompt": "say \"start\": 9"}', None),
        (b'{"start": null}', None),
        (b'{"end": 99999}', ClipPart(0.0, 99999.0)),
        (b'{"start": 0.30000000000000004, "end": 1e+22}', ClipPart(0.30000000000000004, 1e22)),
        (b'{"end": 9e999}', ClipPart(0.0, math.inf)),
        (b'--x\r\nname="start"\r\n\r\n.5\r\n--x', ClipPart(0.5, None)),
    ],
)
def test_the_part_of_a_clip_is_found(body, part):
    assert hints.parse_body(body).part == part
