"""Loads the recipes of this package, and those of a folder of the user's own."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from flamingo_common.recipes.recipe import MAX_RECIPE_BYTES, Recipe, RecipeInvalid, parse_recipe

BUILT_IN = Path(__file__).parent / "builtin"
MAX_RECIPES = 256
SUFFIXES = (".yaml", ".yml")


def load(folder: Path | None) -> Mapping[str, Recipe]:
    """Return the recipes by name: those of the package, and of `folder`, which can replace them.

    Raises:
        RecipeInvalid: the folder cannot be read, or has no valid recipes; all faults are listed.
    """
    recipes = _recipes_of(BUILT_IN)
    return recipes if folder is None else {**recipes, **_recipes_of(folder)}


def _recipes_of(folder: Path) -> dict[str, Recipe]:
    files = _files(folder)
    found: dict[str, Recipe] = {}
    faults: list[str] = []
    for file in files:
        try:
            recipe = _read(file)
        except RecipeInvalid as error:
            faults.append(str(error))
            continue
        if found.setdefault(recipe.name, recipe) is not recipe:
            faults.append(f"{file.name}: name: {recipe.name!r} is in another file, too")
    if faults:
        raise RecipeInvalid(f"{folder}: {'; '.join(faults)}")
    return found


def _files(folder: Path) -> list[Path]:
    try:
        files = sorted(_yaml_files(folder))
    except OSError as error:
        raise RecipeInvalid(f"{folder}: {error.strerror}") from None
    if not files:
        raise RecipeInvalid(f"{folder}: has no recipes: files named NAME{SUFFIXES[0]}")
    if len(files) > MAX_RECIPES:
        raise RecipeInvalid(f"{folder}: has {len(files)} recipes; the maximum is {MAX_RECIPES}")
    return files


def _yaml_files(folder: Path) -> Iterator[Path]:
    for file in folder.iterdir():
        # Kubernetes keeps the contents of a ConfigMap in hidden folders beside its links.
        if file.suffix.lower() not in SUFFIXES or file.name.startswith("."):
            continue
        if file.is_file() or not file.exists():  # a link that leads nowhere is a fault
            yield file


def _read(file: Path) -> Recipe:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_RECIPE_BYTES + 1)
    except OSError as error:
        raise RecipeInvalid(f"{file.name}: {error.strerror}") from None
    return parse_recipe(content, file.name)
