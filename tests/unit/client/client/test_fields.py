"""The JSON that keyword arguments become."""

from flamingo.client import fields
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
