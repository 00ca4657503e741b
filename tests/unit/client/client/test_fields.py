"""The JSON that keyword arguments become."""

import pytest

from flamingo.client import fields
from flamingo_common.errors import BadRequest
from flamingo_common.wire import parameters


def test_unset_fields_are_not_sent():
    assert fields.without_unset(style="brief", prompt=None, temperature=0) == {
        "style": "brief",
        "temperature": 0,
    }


def test_question_is_one_user_message():
    assert fields.question_messages("Which key?", system=None) == [
        {"role": "user", "content": "Which key?"}
    ]


def test_system_message_comes_first():
    roles = [each["role"] for each in fields.question_messages("Which key?", system="Be brief.")]

    assert roles == ["system", "user"]


def test_every_keyword_argument_is_a_parameter_of_the_api():
    for name in fields.SamplingOptions.__annotations__:
        assert parameters.GENERATION[name].status == "implemented", name


@pytest.mark.parametrize(
    ("questions", "recipes", "expected"),
    [
        (
            ["what?"],
            None,
            "questions[0]: a question in a list must be a mapping",
        ),
        ([{"name": "a", "prompt": "b"}, None], None, "questions[1]: a question in a list"),
        (
            {"mood": 5},
            None,
            "questions: the question 'mood' must be a prompt or",
        ),
        ({}, None, "questions: there are no questions"),
        ([], [], "questions: there are no questions"),
        (None, [], "questions: there are no questions"),
    ],
)
def test_questions_of_other_forms_are_refused(questions, recipes, expected):
    with pytest.raises(BadRequest) as refused:
        fields.all_questions(questions, recipes)
    assert f"{refused.value.param}: {refused.value.message}".startswith(expected)


def test_questions_and_recipes_are_one_list():
    assert fields.all_questions(None, None) is None
    assert fields.all_questions({"mood": "Which?", "x": {"style": "brief"}}, ["card"]) == [
        {"name": "mood", "prompt": "Which?"},
        {"name": "x", "style": "brief"},
        {"name": "card", "recipe": "card"},
    ]
