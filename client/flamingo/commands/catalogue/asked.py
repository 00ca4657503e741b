"""What `flamingo analyze` and `flamingo batch --task analyze` ask: recipes and questions.

A recipe is named, and the fleet's pods have it; or it is a YAML file of the user, which is sent as
a question. A file of questions has them by name, or as a list, as the HTTP API has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from flamingo.client import fields, yaml_files
from flamingo_common.errors import BadRequest
from flamingo_common.recipes.recipe import RecipeInvalid, parse_recipe
from flamingo_common.service import printable
from flamingo_common.wire import parse
from flamingo_common.wire.analysis import AnalyzeRequest

SUFFIXES = (".yaml", ".yml")
"""Of a recipe that is a file."""

RecipeNames = Annotated[
    list[str] | None,
    typer.Option(
        "--recipe",
        "-r",
        help="Recipe to ask: a name that flamingo recipes lists, or FILE.yaml. Can be repeated.",
        show_default=False,
    ),
]
QuestionTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--question", "-q", help="Question of your own. Can be repeated.", show_default=False
    ),
]
QuestionsFile = Annotated[
    Path | None,
    typer.Option(
        "--questions",
        metavar="FILE",
        help="Questions by name, as YAML or JSON, each a prompt or with options of its own.",
        dir_okay=False,
        show_default=False,
    ),
]
Confidence = Annotated[
    bool,
    typer.Option(
        "--confidence", help="Show how sure the model is of each value of answers that are JSON."
    ),
]
Questions = Sequence[Mapping[str, Any]]
"""As a request has them."""


def questions(
    recipes: Sequence[str] | None, texts: Sequence[str] | None, file: Path | None
) -> Questions:
    """Return what is asked, in the order: questions of the command line, of a file, and recipes.

    A question of the command line is named `question-1` and so on, and a recipe by its name.

    Raises:
        BadRequest: a file cannot be read or has no valid questions, or two have one name.
    """
    asked: list[Mapping[str, Any]] = [
        {"name": f"question-{at}", "prompt": text} for at, text in enumerate(texts or (), 1)
    ]
    if file is not None:
        asked += _of_file(file)
    asked += (_recipe(one) for one in dict.fromkeys(recipes or ()))
    if (twice := _first_repeated(asked)) is not None:
        raise BadRequest(f"two questions or recipes have the name {twice!r}; each needs its own")
    if asked:
        _check(asked)
    return asked


def headings(asked: Questions) -> dict[str, str]:
    """Return what to show above each answer: the text of a question of the command line."""
    is_text = {"name", "prompt"}
    return {
        one["name"]: one["prompt"]
        for one in asked
        if one.keys() == is_text and one["name"].startswith("question-")
    }


def _check(asked: Questions) -> None:
    """Check questions as a server does, before a clip is sent.

    Raises:
        BadRequest: some are not valid; all faults are listed.
    """
    sample = {"data": "UklGRg=="}  # stands for the clip
    parse.validate_request(AnalyzeRequest, {"audio": sample, "questions": asked})


def _of_file(path: Path) -> Questions:
    shown = printable.escape_line(str(path))
    document: Any = yaml_files.read(path, what="file of questions")
    if not isinstance(document, dict | list):
        raise BadRequest(f"{shown}: must have questions by name, or a list of questions")
    if isinstance(document, dict):
        document = {str(name): value for name, value in document.items()}
    try:
        found = fields.all_questions(document, None) or []
        _check(found)
    except BadRequest as error:
        raise BadRequest(f"{shown}: {error}", param=error.param) from None
    return found


def _recipe(name_or_path: str) -> Mapping[str, Any]:
    if not name_or_path.endswith(SUFFIXES):
        return {"name": name_or_path, "recipe": name_or_path}
    shown = printable.escape_line(name_or_path)
    content = yaml_files.read_bytes(Path(name_or_path), what="recipe")
    try:
        recipe = parse_recipe(content, shown)
    except RecipeInvalid as error:
        raise BadRequest(str(error), param="recipe") from None
    question: dict[str, Any] = {"name": recipe.name, "prompt": recipe.prompt}
    if recipe.max_tokens is not None:
        question["max_tokens"] = recipe.max_tokens
    if recipe.measured is not None:
        question["measured"] = recipe.measured
    if recipe.parser is not None:
        question["parser"] = recipe.parser
    if recipe.schema_ is not None:
        json_schema = {"name": recipe.name, "schema": recipe.schema_}
        question["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    return question


def _first_repeated(asked: Questions) -> str | None:
    names = list(_names(asked))
    return next((name for at, name in enumerate(names) if name in names[:at]), None)


def _names(asked: Questions) -> Iterator[str]:
    return (str(one.get("name")) for one in asked)
