"""The format of a recipe's file."""

import pytest
from documents import selections

from flamingo_common.recipes.recipe import parse_recipe


@pytest.mark.parametrize("command", selections.RECIPES.commands(), ids=lambda one: str(one.line))
def test_the_recipe_of_the_page_is_valid(command):
    recipe = parse_recipe(command.text.encode(), "instruments.yaml")
    assert recipe.name == "instruments"
    assert recipe.schema_ == {"type": "array", "items": {"type": "string", "maxLength": 40}}


def test_a_byte_order_mark_and_windows_line_ends_are_read():
    text = "\ufeffname: a\r\ndescription: b\r\nprompt: c\r\n"
    assert parse_recipe(text.encode(), "a.yaml").prompt == "c"
