"""Checks recipes with the model when a pod starts, so that a wrong one is found at once."""

import asyncio
import json
from collections.abc import Iterable

from flamingo_common.errors import BadRequest
from flamingo_common.recipes.recipe import Recipe, RecipeInvalid
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.model.checkpoint import Checkpoint
from flamingo_pod.text import prompt
from flamingo_pod.text.prompt import Turn


async def check(checkpoint: Checkpoint, engine: Engine, recipes: Iterable[Recipe]) -> None:
    """Check that the model can be asked for recipes, and their answers constrained to schemas.

    Raises:
        RecipeInvalid: one cannot; the message names the recipe and what is wrong.
        Unavailable: there was no time to compile a schema.
    """
    for recipe in recipes:
        field = "prompt"
        try:
            turn = Turn("user", recipe.prompt, field=field)
            await asyncio.to_thread(prompt.token_ids, checkpoint.processor, [turn], 0)
            field = "schema"
            if recipe.schema_ is not None:
                await engine.compile(GrammarSpec("json_schema", json.dumps(recipe.schema_)))
        except BadRequest as error:
            raise RecipeInvalid(f"recipe {recipe.name}: {field}: {error.message}") from None
