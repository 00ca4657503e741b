"""A recipe, and its format in a YAML file.

Pure.
"""

import json
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import Field, ValidationInfo, field_validator

from flamingo_common.errors import BadRequest
from flamingo_common.measured.comparisons import Counterpart
from flamingo_common.wire import parse
from flamingo_common.wire.analysis import Parser
from flamingo_common.wire.parameters import Table, implemented
from flamingo_common.wire.request_body import RequestBody
from flamingo_common.wire.requests import Text
from flamingo_common.wire.sampling_options import OutputTokens

MAX_RECIPE_BYTES = 65_536
MAX_VALUES = 20_000
"""More than a file of this size has without aliases, but for lists of single digits."""


class RecipeInvalid(ValueError):
    """A recipe that cannot be used; the message names its file and each field that is wrong."""


class Recipe(RequestBody):
    """A named question, and the form of its answer."""

    table: ClassVar[Table] = implemented(
        "Flamingo", "name description prompt schema parser measured max_tokens"
    )

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    description: Annotated[str, Field(min_length=1, max_length=300)]
    """One sentence for lists of recipes."""
    prompt: Annotated[Text, Field(min_length=1)]
    """What the model is asked."""
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """JSON schema that the answer conforms to."""
    parser: Parser | None = None
    """`sections`: the answer is read as sections and lines with times."""
    measured: dict[str, Counterpart] | None = None
    """Which fields of the answer can be measured, and as what: `tempo_bpm` or `key`."""
    max_tokens: OutputTokens | None = None
    """Maximum number of tokens of the answer, unless the question sets its own."""

    @field_validator("schema_")
    @classmethod
    def _is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("must have only what JSON has: dates need quotes") from None
        return value

    @field_validator("measured")
    @classmethod
    def _are_fields_of_the_schema(
        cls, value: dict[str, Counterpart] | None, info: ValidationInfo
    ) -> dict[str, Counterpart] | None:
        schema = info.data.get("schema_") or {}
        fields = schema.get("properties") if isinstance(schema, dict) else None
        missing = sorted(set(value or ()) - set(fields if isinstance(fields, dict) else ()))
        if missing and "schema_" in info.data:
            raise ValueError(f"{missing[0]!r} is not a property of the schema")
        return value


def parse_recipe(content: bytes, file: str) -> Recipe:
    """Return the recipe in the content of a YAML file.

    Raises:
        RecipeInvalid: it is too large or not valid YAML, or a field is missing, unknown or wrong.
    """
    if len(content) > MAX_RECIPE_BYTES:
        raise RecipeInvalid(f"{file}: is larger than {MAX_RECIPE_BYTES} bytes, the maximum")
    try:
        fields = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeInvalid(f"{file}: is not valid YAML{_place(error)}") from None
    if not _is_small(fields):
        raise RecipeInvalid(
            f"{file}: has more than {MAX_VALUES} values, the maximum; each alias counts as what it"
            " repeats"
        )
    if not isinstance(fields, dict):
        raise RecipeInvalid(f"{file}: must have the fields of a recipe: name, description, prompt")
    try:
        return parse.validate_request(Recipe, {str(name): value for name, value in fields.items()})
    except BadRequest as error:
        raise RecipeInvalid(f"{file}: {error}") from None


def _place(error: Exception) -> str:
    """Return where a file is not YAML, and why, as far as that is known."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    known = (f"line {mark.line + 1}" if mark else "", problem or getattr(error, "reason", None))
    text = ": ".join(filter(None, known))
    return f" ({text})" if text else ""


def _is_small(fields: Any) -> bool:
    """Whether it has at most `MAX_VALUES` values: aliases make many, or endless, of few bytes."""
    rest, num_values = [fields], 0
    while rest and num_values <= MAX_VALUES:
        value = rest.pop()
        num_values += 1
        if isinstance(value, dict | list):
            rest += value.values() if isinstance(value, dict) else value
    return num_values <= MAX_VALUES
