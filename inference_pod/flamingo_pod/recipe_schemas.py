"""Compiles the schemas of recipes when a pod starts, so that a wrong one is found at once."""

import json
from collections.abc import Iterable

from flamingo_common.errors import BadRequest
from flamingo_common.recipes.recipe import Recipe, RecipeInvalid
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.grammar_source import GrammarSpec


async def check(engine: Engine, recipes: Iterable[Recipe]) -> None:
    """Check that the answers to recipes can be constrained to their schemas.

    Raises:
        RecipeInvalid: one cannot; the message names the recipe and what is wrong.
        Unavailable: there was no time to compile one.
    """
    for recipe in recipes:
        if recipe.schema_ is None:
            continue
        try:
            await engine.compile(GrammarSpec("json_schema", json.dumps(recipe.schema_)))
        except BadRequest as error:
            raise RecipeInvalid(f"recipe {recipe.name}: schema: {error.message}") from None
