"""The questions of an analysis, as the router finds them before the audio."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_router.request import hints, question_list

QUESTIONS = [
    {"name": "a", "prompt": 'say "max_tokens": 9', "max_tokens": 10},
    {"name": "b", "recipe": "card"},
]
LIST = json.dumps(QUESTIONS).encode()


@pytest.mark.parametrize(
    "head",
    [
        b'{"max_tokens": 50, "questions": ' + LIST + b', "stream": true, "audio": {"data": "',
        b'{"questions":' + LIST + b',"stream":true,"max_tokens":50,"audio":{"data":"',
        b'--x\r\nname="request"\r\n\r\n{"questions": ' + LIST + b', "max_tokens": 50,'
        b' "stream": true}\r\n--x',
        b'--x\r\nContent-Disposition: form-data; name="questions"\r\nContent-Type:'
        b" application/json\r\n\r\n" + LIST + b'\r\n--x\r\nname="max_tokens"\r\n\r\n50\r\n'
        b'--x\r\nname="stream"\r\n\r\ntrue\r\n--x',
    ],
)
def test_questions_are_counted_and_their_limits_added_up(head):
    assert hints.parse_body(head) == hints.BodyHints(60, is_stream=True, num_answers=2)


@pytest.mark.parametrize(("orders", "steps"), [(4, 12), (99, 3), (0, 3), ("a", 3), (True, 3)])
def test_decisions_are_asked_in_all_orders(orders, steps):
    decisions = [{"type": "predicate", "instructions": "It is live."}] * 3
    listed = [{"name": "a", "decisions": decisions, "orders": orders}]
    found = question_list.find(b'{"questions": ' + json.dumps(listed).encode())
    assert found.limits == (steps,)


def test_decisions_are_one_answer_with_a_step_for_each():
    decisions = [{"type": "predicate", "instructions": "It is live."}] * 3
    listed = [{"name": "a", "decisions": decisions}, {"name": "b", "prompt": "b"}]
    head = json.dumps({"questions": listed, "max_tokens": 50, "audio": 1}).encode()
    assert question_list.find(head).limits == (3, None)
    found = hints.parse_body(head)
    assert (found.max_tokens, found.num_answers) == (53, 2)


def test_a_question_without_a_limit_has_none():
    head = b'{"questions": ' + LIST + b', "audio": 1'
    assert hints.parse_body(head) == hints.BodyHints(None, num_answers=2)


@pytest.mark.parametrize(
    "head",
    [
        b'{"questions": [{"name"',
        b'{"questions": 3}',
        b'{"questions": []}',
        rb'{"prompt": "\"questions\": [1]"',
    ],
)
def test_without_a_whole_list_the_request_has_one_answer(head):
    assert question_list.find(head) is None
    assert hints.parse_body(head).num_answers == 1


def test_more_questions_than_are_allowed_count_no_further():
    head = b'{"questions": ' + json.dumps([{}] * 500).encode()
    assert hints.parse_body(head).num_answers == 32


@given(st.binary(max_size=300))
def test_no_list_breaks_the_parser(body):
    hints.parse_body(b'"questions": [' + body + b"]")
    hints.parse_body(b'"questions": [{"max_tokens": ' + body + b"}]")


def test_deep_lists_end():
    assert question_list.find(b'"questions": ' + b"[" * 60_000) is None
