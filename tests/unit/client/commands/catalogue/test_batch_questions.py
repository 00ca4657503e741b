import pytest
from fakes.answering_pod import RECIPES

from flamingo.commands.catalogue import batch_questions
from flamingo_common.errors import BadRequest

SCHEMA = {"type": "array", "items": {"type": "string"}}
OWN = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
PREDICATES = [{"type": "predicate", "instructions": "It is live."}] * 3


def test_the_forms_are_those_of_the_recipes_and_of_the_questions_formats():
    asked = [
        {"name": "c", "recipe": "card"},
        {"name": "l", "recipe": "lyrics"},
        {"name": "mood", "prompt": "?"},
        {"name": "own", "prompt": "?", "response_format": OWN},
        {"name": "guided", "prompt": "?", "structured_outputs": {"json": SCHEMA}},
        {"name": "words", "prompt": "?", "structured_outputs": {"choice": ["a", "b"]}},
        {"name": "tags", "decisions": PREDICATES},
        {"name": "sheet", "prompt": "?", "parser": "sections"},
        {"name": "read", "recipe": "card", "parser": "sections"},
    ]
    found = {one.name: one for one in batch_questions.forms(asked, RECIPES)}
    assert [one.is_json for one in found.values()] == [
        *[True, False, False],
        *[True, True, False],
        *[True, False, True],
    ]
    assert [name for name, one in found.items() if one.has_sections] == ["l", "sheet", "read"]
    assert found["own"].shape == found["guided"].shape == ["text"]
    assert found["tags"].shape == "json"


@pytest.mark.parametrize(
    ("name", "hint"), [("lyric", "did you mean 'lyrics'?"), ("zz", "there are ace-step, card")]
)
def test_a_recipe_that_the_fleet_does_not_have_is_refused_with_those_that_it_has(name, hint):
    with pytest.raises(BadRequest, match=f"'{name}' does not exist in this fleet; {hint[:-1]}"):
        batch_questions.forms([{"name": name, "recipe": name}], RECIPES)


def test_the_tokens_of_a_clip_are_those_of_its_limits():
    asked = [
        {"name": "c", "recipe": "card"},  # 400
        {"name": "mood", "prompt": "?", "max_tokens": 4},
        {"name": "other", "prompt": "?"},
        {"name": "tags", "decisions": PREDICATES},
    ]
    default = batch_questions.DEFAULT_TOKENS
    assert batch_questions.num_tokens(asked, RECIPES, None) == 400 + 4 + default + 3
    assert batch_questions.num_tokens(asked, RECIPES, 50) == 50 + 4 + 50 + 3
