"""The format of a recipe's file."""

import pytest
from documents import selections

from flamingo_common.recipes.recipe import RecipeInvalid, parse_recipe


@pytest.mark.parametrize("command", selections.RECIPES.commands(), ids=lambda one: str(one.line))
def test_the_recipe_of_the_page_is_valid(command):
    recipe = parse_recipe(command.text.encode(), "instruments.yaml")
    assert recipe.name == "instruments"
    assert recipe.schema_ == {"type": "array", "items": {"type": "string", "maxLength": 40}}


def test_a_byte_order_mark_and_windows_line_ends_are_read():
    text = "\ufeffname: a\r\ndescription: b\r\nprompt: c\r\n"
    assert parse_recipe(text.encode(), "a.yaml").prompt == "c"


MEASURED = """
name: facts
description: Facts.
prompt: What are the facts?
measured: MEASURED
schema: {type: object, properties: {bpm: {type: integer}, key: {type: string}}}
"""


def test_a_recipe_names_the_fields_that_can_be_measured():
    recipe = parse_recipe(MEASURED.replace("MEASURED", "{bpm: tempo_bpm}").encode(), "a.yaml")
    assert recipe.measured == {"bpm": "tempo_bpm"}


@pytest.mark.parametrize(
    ("measured", "fault"),
    [
        ("{tempo: tempo_bpm}", "measured: 'tempo' is not a property of the schema"),
        ("{bpm: loudness}", "measured.bpm"),
        ("bpm", "measured"),
    ],
)
def test_a_field_that_cannot_be_measured_is_refused(measured, fault):
    with pytest.raises(RecipeInvalid, match=fault):
        parse_recipe(MEASURED.replace("MEASURED", measured).encode(), "a.yaml")


def test_a_recipe_without_a_schema_has_nothing_to_measure():
    text = "name: a\ndescription: b\nprompt: c\nmeasured: {bpm: tempo_bpm}\n"
    with pytest.raises(RecipeInvalid, match="not a property"):
        parse_recipe(text.encode(), "a.yaml")
