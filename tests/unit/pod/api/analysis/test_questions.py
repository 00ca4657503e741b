"""What each question of a request asks."""

import pytest

from flamingo_common.errors import BadRequest, FlamingoError
from flamingo_common.recipes import folder
from flamingo_common.wire import parse
from flamingo_common.wire.analysis import AnalyzeRequest
from flamingo_pod.api.analysis import questions
from flamingo_pod.api.generation import output_format
from flamingo_pod.text import caption_styles

RECIPES = folder.load(None)
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer"}}}


def asked(*listed, **fields):
    body = {"audio": {"data": "AAAA"}, "questions": list(listed), **fields}
    return questions.resolve(parse.validate_request(AnalyzeRequest, body), RECIPES)


def test_a_question_has_the_options_of_the_request_unless_it_sets_its_own():
    first, second = asked(
        {"name": "a", "prompt": "What key?"},
        {"name": "b", "style": "brief", "max_tokens": 8, "temperature": 0.0},
        max_tokens=100,
        temperature=0.7,
    )
    assert (first.options.prompt, first.options.max_tokens) == ("What key?", 100)
    assert first.options.temperature == 0.7
    assert second.options.prompt == caption_styles.PROMPTS["brief"]
    assert (second.options.max_tokens, second.options.temperature) == (8, 0.0)


def test_decisions_are_left_to_others_and_keep_the_places_of_the_rest():
    live = {"type": "predicate", "instructions": "It is live."}
    (found,) = asked({"name": "a", "decisions": [live]}, {"name": "b", "prompt": "b"})
    assert (found.place, found.name) == ("questions[1]", "b")


def test_a_recipe_brings_its_prompt_and_schema():
    (card,) = asked({"name": "a", "recipe": "card"})
    assert card.options.prompt == RECIPES["card"].prompt
    assert card.is_json
    (lyrics,) = asked({"name": "a", "recipe": "lyrics"})
    assert not lyrics.is_constrained


def test_a_format_of_a_question_replaces_that_of_the_request():
    first, second, third = asked(
        {"name": "a", "prompt": "a", "structured_outputs": {"choice": ["x", "y"]}},
        {"name": "b", "prompt": "b"},
        {"name": "c", "recipe": "card"},
        response_format=SCHEMA,
    )
    assert output_format.grammar_spec(first.options, None).kind == "choice"
    assert output_format.grammar_spec(second.options, None).text == '{"type": "integer"}'
    assert "genre" in output_format.grammar_spec(third.options, None).text


def test_an_answer_is_read_as_its_question_or_its_recipe_says():
    found = asked(
        {"name": "a", "prompt": "a"},
        {"name": "b", "prompt": "b", "parser": "sections"},
        {"name": "c", "recipe": "lyrics"},
        {"name": "d", "recipe": "card", "parser": "sections"},
    )
    assert [each.parser for each in found] == [None, "sections", "sections", "sections"]


@pytest.mark.parametrize(
    ("question", "param", "message"),
    [
        ({"recipe": "crad"}, "questions[1].recipe", "did you mean 'card'?"),
        ({"recipe": "zzz"}, "questions[1].recipe", "there are ace-step, card, lyrics, structure"),
        (
            {"recipe": "card", "response_format": SCHEMA},
            "questions[1].response_format",
            "the recipe 'card' has a schema of its own; remove response_format",
        ),
        (
            {"prompt": "a", "response_format": SCHEMA, "structured_outputs": {"regex": "a"}},
            "questions[1].structured_outputs",
            "question 'b': response_format and structured_outputs set the format of the answer",
        ),
    ],
)
def test_what_a_question_cannot_ask_is_refused_with_its_place(question, param, message):
    with pytest.raises(BadRequest) as caught:
        asked({"name": "a", "prompt": "a"}, {"name": "b", **question})
    assert caught.value.param == param
    assert message in caught.value.message


def test_an_error_names_its_question():
    (question,) = asked({"name": "mood", "recipe": "card"})
    with pytest.raises(FlamingoError) as caught, questions.naming(question):
        raise BadRequest("it is too long", param="prompt")
    assert caught.value.message == "question 'mood': it is too long"
    assert caught.value.param == "questions[0].recipe"
