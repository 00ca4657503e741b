"""Analyses with questions: what a request can have."""

import pytest

from flamingo_common.errors import BadRequest, FlamingoError
from flamingo_common.wire import parse
from flamingo_common.wire.analysis import AnalyzeRequest

KEY = {"name": "key", "prompt": "What key?"}
PREDICATE = {"type": "predicate", "instructions": "It is live."}
LIVE = {"name": "live", "decisions": [PREDICATE]}


def request(*questions, **fields):
    body = {"audio": {"data": ""}, "questions": list(questions), **fields}
    return parse.validate_request(AnalyzeRequest, body)


@pytest.mark.parametrize(
    ("questions", "param", "message"),
    [
        ([KEY, KEY], "questions", "two questions have the name 'key'; each needs its own"),
        ([], "questions", "must have at least 1 item"),
        ([KEY | {"name": f"k{at}"} for at in range(33)], "questions", "must have at most 32 items"),
        ([{"prompt": "a"}], "questions[0].name", "is required"),
        ([KEY | {"name": "my key"}], "questions[0].name", "must be 1 to 64 characters of"),
        (
            [KEY, {"name": "a", "prompt": "a", "recipe": "card"}],
            "questions[1]",
            "exactly one of prompt, style, recipe and decisions is required, not prompt and recipe",
        ),
        ([{"name": "a"}], "questions[0]", "exactly one of prompt, style, recipe and decisions"),
        ([LIVE | {"style": "brief"}], "questions[0]", "not style and decisions"),
        (
            [LIVE | {"max_tokens": 4}],
            "questions[0]",
            "are answered without text; remove max_tokens",
        ),
        (
            [KEY, LIVE | {"decisions": [PREDICATE | {"type": "guess"}]}],
            "questions[1].decisions[0].type",
            "'predicate'",
        ),
        ([LIVE | {"temperature": 0}], "questions[0]", "temperature: must be above 0 for decisions"),
        (
            [LIVE | {"temperature": 101}],
            "questions[0].temperature",
            "must be a number from 0 to 100",
        ),
        ([LIVE | {"orders": 17}], "questions[0].orders", "from 1 to 16"),
        ([LIVE | {"orders": 0}], "questions[0].orders", "from 1 to 16"),
        ([LIVE | {"orders": 1.5}], "questions[0].orders", "must be a whole number"),
        ([KEY | {"orders": 2}], "questions[0]", "orders is for decisions; remove it"),
        ([KEY | {"temperature": 2.1}], "questions[0]", "temperature: must be from 0 to 2"),
        ([LIVE | {"decisions": []}], "questions[0].decisions", "must have at least 1 item"),
        (
            [LIVE | {"name": name, "decisions": [PREDICATE] * 201} for name in "ab"],
            "questions",
            "the questions have 402 decisions together; at most 400 are accepted",
        ),
        ([KEY | {"style": "terse"}], "questions[0].style", "must be 'detailed'"),
        ([KEY | {"max_tokens": 0}], "questions[0].max_tokens", "must be a"),
        ([KEY | {"parser": "lines"}], "questions[0].parser", "must be 'sections'"),
        (
            [LIVE | {"parser": "sections"}],
            "questions[0]",
            "decisions are answered without text; remove parser",
        ),
        ([KEY | {"promt": "a"}], "questions[0].promt", "did you mean 'prompt'?"),
        ([KEY | {"n": 2}], "questions[0].n", "a question has one answer"),
        ([KEY | {"stream": True}], "questions[0].stream", "set stream in the request"),
        (
            [KEY | {"response_format": {"type": "json_schema"}}],
            "questions[0].response_format.json_schema",
            "is required if type is json_schema",
        ),
        ("What key?", "questions", "must be an array, not a string"),
    ],
)
def test_wrong_questions_are_refused_with_their_place(questions, param, message):
    with pytest.raises(FlamingoError) as caught:
        parse.validate_request(AnalyzeRequest, {"audio": {"data": ""}, "questions": questions})
    assert caught.value.param == param
    assert message in str(caught.value)


@pytest.mark.parametrize("fields", [{"prompt": "a"}, {"style": "brief"}])
def test_a_prompt_of_the_request_is_not_dropped(fields):
    with pytest.raises(BadRequest, match="and questions are both set; make it a question, too"):
        request(KEY, **fields)


def test_an_embedding_is_returned_if_one_of_its_fields_is_set():
    assert not request(KEY).has_embedding
    assert not request(KEY, truncate=True, start=1, end=2, max_tokens=8).has_embedding
    assert not request(KEY, pooling=None).has_embedding
    assert request(KEY, pooling="mean").has_embedding
    assert parse.validate_request(AnalyzeRequest, {"audio": {"data": ""}}).has_embedding


def test_decisions_have_orders_and_a_temperature_of_their_own():
    (live, key) = request(
        LIVE | {"orders": 4, "temperature": 30}, KEY | {"temperature": 2}
    ).questions
    assert (live.orders, live.temperature, key.temperature) == (4, 30.0, 2.0)
