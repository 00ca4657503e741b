"""Requests for decisions: what is accepted, and the errors, each of which names its field."""

import pytest

from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse
from flamingo_common.wire.decisions import DecisionRequest

PREDICATE = {"type": "predicate", "instructions": "It swings."}


def choice(*values):
    choices = [{"value": value} for value in values]
    return {"type": "choice", "instructions": "Which?", "choices": choices}


def score(*labels):
    levels = [{"label": label} for label in labels]
    return {"type": "score", "instructions": "How?", "levels": levels}


def request(**fields):
    given = {"input": "A waltz.", "questions": [PREDICATE]} | fields
    return parse.validate_request(DecisionRequest, given)


AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
MARKED = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
ACCEPTED = [
    {"questions": [PREDICATE] * 400},
    {"questions": [choice(*map(str, range(255)))]},
    {"questions": [choice(True, "true", False)]},
    {"questions": [score("low", "high") | {"name": "loudness"}, PREDICATE | {"name": None}]},
    {"questions": [PREDICATE | {"instructions": [{"type": "input_json", "data": [{"a": 1}]}]}]},
    {"input": [{"role": "user", "content": [AUDIO, MARKED]}]},
    {"input": [{"type": "message", "role": "developer", "content": "Be strict."}]},
    {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}]},
    {"prompt_cache_key": "k", "prompt_cache_options": {"ttl": "30m"}, "safety_identifier": "me"},
    {"orders": 16, "temperature": 0.5, "truncate": True, "stream": False, "model": "m"},
]
REFUSED = [
    ({"questions": []}, "questions", "at least 1 item"),
    ({"questions": [PREDICATE] * 401}, "questions", "at most 400 items"),
    ({"questions": [choice("a")]}, "questions[0].choices", "at least 2 items"),
    ({"questions": [choice(*map(str, range(256)))]}, "questions[0].choices", "at most 255 items"),
    ({"questions": [choice("a", "b", "a")]}, "questions[0].choices", r"choices\[2\] has the value"),
    ({"questions": [score("a", "a")]}, "questions[0].levels", r"levels\[1\] has the label"),
    ({"questions": [choice("a", " ")]}, "questions[0].choices[1].value", "must not be blank"),
    ({"questions": [choice("a", 1)]}, "questions[0].choices[1].value", "must be a string"),
    ({"questions": [score("a")]}, "questions[0].levels", "at least 2 items"),
    (
        {"questions": [PREDICATE | {"type": "box"}]},
        "questions[0].type",
        "'predicate', 'choice' or 'score'",
    ),
    (
        {"questions": [{"instructions": "a"}]},
        "questions[0].type",
        "'predicate', 'choice' or 'score'",
    ),
    ({"questions": [PREDICATE | {"instructions": " "}]}, "questions[0].instructions", "blank"),
    (
        {"questions": [PREDICATE | {"instructions": [MARKED | {"text": " "}]}]},
        "questions[0].instructions",
        "blank",
    ),
    ({"questions": [{"type": "predicate"}]}, "questions[0].instructions", "is required"),
    ({"questions": [PREDICATE | {"choices": []}]}, "questions[0].choices", "is unknown"),
    ({"stream": True}, "stream", "nothing is streamed"),
    ({"messages": []}, "messages", "as input"),
    ({"orders": 0}, "orders", "from 1 to 16"),
    ({"temperature": 0}, "temperature", "above 0"),
    ({"input": None}, "input", "must be a string"),
    ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role", "must be 'user'"),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
        "input[0].content[0].type",
        "must be 'input_text', 'output_text'",
    ),
    (
        {"input": [{"role": "user", "content": "a", "arguments": "{}"}]},
        "input[0].arguments",
        "tools are not called",
    ),
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=lambda fields: str(fields)[:60])
def test_what_openais_client_sends_is_accepted(fields):
    assert request(**fields).input is not None


@pytest.mark.parametrize(("fields", "param", "message"), REFUSED, ids=lambda one: str(one)[:60])
def test_an_error_names_its_field(fields, param, message):
    with pytest.raises(BadRequest, match=message) as caught:
        request(**fields)
    assert caught.value.param == param
