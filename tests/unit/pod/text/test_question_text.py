"""Questions as the model reads them, in the orders of their options."""

import pytest

from flamingo_common.wire.decisions import ChoiceQuestion, PredicateQuestion, ScoreQuestion
from flamingo_pod.text.question_text import given_texts, question_text


def predicate(instructions):
    return PredicateQuestion(type="predicate", instructions=instructions)


def choice(*values):
    return ChoiceQuestion(
        type="choice", instructions="Which?", choices=[{"value": value} for value in values]
    )


def score(*labels):
    return ScoreQuestion(
        type="score", instructions="How loud?", levels=[{"label": label} for label in labels]
    )


def test_a_statement_is_judged_and_a_question_is_answered():
    assert question_text(predicate("It swings. ")).texts == [
        "It swings.\nIs this true? Answer Yes or No."
    ]
    assert question_text(predicate("Does it swing?"), 5).texts == [
        "Does it swing?\nAnswer Yes or No.",
        "Does it swing?\nAnswer No or Yes.",
    ]


def test_a_choice_is_listed_with_its_descriptions():
    question = ChoiceQuestion(
        type="choice",
        instructions="Which genre?",
        choices=[{"value": " rock "}, {"value": "jazz", "description": "with swing"}],
    )
    asked = question_text(question)
    assert asked.texts[0].split("\n") == [
        "Which genre?",
        "Choose one of these:",
        "- rock",
        "- jazz: with swing",
        "Answer with one of them and nothing else.",
    ]
    assert asked.options == ["rock", "jazz"]


@pytest.mark.parametrize(
    ("num_orders", "firsts"), [(1, "a"), (2, "ac"), (3, "abc"), (4, "abcd"), (9, "abcd")]
)
def test_choices_are_rotated_by_equal_steps(num_orders, firsts):
    asked = question_text(choice("a", "b", "c", "d"), num_orders)
    assert [text.split("- ")[1].strip() for text in asked.texts] == list(firsts)
    assert asked.options == ["a", "b", "c", "d"]


def test_a_scale_is_only_reversed():
    texts = question_text(score("low", "mid", "high"), 9).texts
    orders = [[line for line in text.split("\n") if line.startswith("- ")] for text in texts]
    assert orders == [["- low", "- mid", "- high"], ["- high", "- mid", "- low"]]


def test_values_that_would_read_the_same_are_written_as_json():
    assert question_text(choice(True, False)).options == ["true", "false"]
    assert question_text(choice(True, "true", "é")).options == ["true", '"true"', '"é"']
    assert question_text(choice("a", "a ")).options == ['"a"', '"a "']


def test_instructions_in_parts_are_joined_and_json_is_text():
    parts = [
        {"type": "input_text", "text": "Is this the tempo?"},
        {"type": "input_json", "data": {"bpm": 120}},
    ]
    assert question_text(predicate(parts)).texts[0].startswith('Is this the tempo?\n{"bpm": 120}')


def test_every_text_of_the_request_is_named_by_its_field():
    question = ScoreQuestion(
        type="score",
        instructions="How loud?",
        levels=[{"label": "low", "description": "whispers"}, {"label": "high"}],
    )
    assert {field: text for field, text in given_texts(question) if text} == {
        ".instructions": "How loud?",
        ".levels[0].label": "low",
        ".levels[0].description": "whispers",
        ".levels[1].label": "high",
    }
