"""Handler of `GET /v1/recipes`."""

from flamingo_common.recipes.recipe import Recipe
from flamingo_common.wire.answers import RecipeCard, RecipeList
from flamingo_pod.pod import Pod


def recipe_list(pod: Pod) -> RecipeList:
    """Return the recipes that questions can name, by name."""
    return RecipeList(data=[_card(pod.recipes[name]) for name in sorted(pod.recipes)])


def _card(recipe: Recipe) -> RecipeCard:
    return RecipeCard(
        name=recipe.name,
        description=recipe.description,
        prompt=recipe.prompt,
        json_schema=recipe.schema_,
        parser=recipe.parser,
        measured=recipe.measured,
        max_tokens=recipe.max_tokens,
    )
