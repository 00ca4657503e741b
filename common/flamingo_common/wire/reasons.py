"""Says in plain words why pydantic found a field invalid, with the limits of the field.

Values are never repeated, as they may be secret, or as long as a body.

Pure.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from flamingo_common import numerals

IN_REQUEST_PART = "; in a form it belongs in the part request, as JSON"
Context = Mapping[str, Any]


def reason_of(detail: ErrorDetails, kind: type[BaseModel], *, is_form: bool = False) -> str:
    """Return what is wrong with a field of a request of the type `kind`, without its path."""
    context: Context = detail.get("ctx", {})
    name, value = detail["type"], detail["input"]
    if name in NUMBERS:
        noun = WHOLE if _is_integer(detail, kind) else "a number"
        return f"must be {noun}{_range(detail, kind)}{_unlike_number(value, is_form=is_form)}"
    if name in EXPECTED:
        hint = IN_REQUEST_PART if is_form and isinstance(value, str) and name in NESTED else ""
        return f"must be {EXPECTED[name]}, not {type_of(value)}{hint}"
    if name == "union_tag_not_found":
        return f"needs a type: {_types(detail['loc'])}"
    if name in TEXTS:
        return TEXTS[name](context)
    return detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


WHOLE = "a whole number"
INTEGERS = frozenset({"int_type", "int_parsing", "int_from_float", "int_parsing_size"})
NUMBERS = INTEGERS | {
    "float_type",
    "float_parsing",
    "finite_number",
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
}
NESTED = frozenset({"dict_type", "model_type", "model_attributes_type", "list_type"})
EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
TYPES = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def type_of(value: object) -> str:
    """Return JSON's name of the type of a value."""
    return TYPES.get(type(value), "another type")


def _unlike_number(value: object, *, is_form: bool) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ""
    if is_form and isinstance(value, str):
        return "" if numerals.is_number(value) else ", not text"
    return f", not {type_of(value)}"


def _tags(context: Context) -> str:
    return f"must have one of the types {context['expected_tags']}"


PART_TYPES = "'text', 'input_audio', 'audio_url', 'audio' or 'file'"
UNION_TYPES = {
    "questions": "'predicate', 'choice' or 'score'",
    "instructions": "'input_text' or 'input_json'",
}
"""The types of objects by the innermost of these fields that they are in; else it is a part."""


def _types(loc: Sequence[int | str]) -> str:
    field = next((step for step in reversed(loc) if step in UNION_TYPES), None)
    return UNION_TYPES.get(str(field), PART_TYPES)


def _items(context: Context, word: str, limit: str) -> str:
    things = "item" if context["field_type"] == "List" else "entry"
    plural = {"item": "items", "entry": "entries"}[things]
    return f"must have {word} {context[limit]} {things if context[limit] == 1 else plural}"


def _characters(word: str, number: int) -> str:
    return f"must have {word} {number} character{'' if number == 1 else 's'}"


TEXTS: Mapping[str, Callable[[Context], str]] = {
    "missing": lambda _: "is required",
    "literal_error": lambda context: f"must be {context['expected']}",
    "union_tag_invalid": _tags,
    "too_short": lambda context: _items(context, "at least", "min_length"),
    "too_long": lambda context: _items(context, "at most", "max_length"),
    "string_too_short": lambda context: _characters("at least", context["min_length"]),
    "string_too_long": lambda context: _characters("at most", context["max_length"]),
    "string_pattern_mismatch": lambda context: f"must match the pattern {context['pattern']}",
}


@functools.cache
def _schemas(kind: type[BaseModel]) -> Mapping[str, Any]:
    return dict(kind.model_json_schema()["properties"])


def _schema(detail: ErrorDetails, kind: type[BaseModel]) -> Mapping[str, Any]:
    """Return the JSON schema of a number's field; empty for one of a nested object."""
    name, *deeper = detail["loc"] or ("",)
    field = _schemas(kind).get(str(name), {}) if not deeper else {}
    options = [field, *field.get("anyOf", ())]
    return next((one for one in options if one.get("type") in {"integer", "number"}), {})


def _is_integer(detail: ErrorDetails, kind: type[BaseModel]) -> bool:
    return detail["type"] in INTEGERS or _schema(detail, kind).get("type") == "integer"


def _range(detail: ErrorDetails, kind: type[BaseModel]) -> str:
    """Return the limits of a number's field, or at least that which the value exceeds."""
    schema, context = _schema(detail, kind), detail.get("ctx", {})
    least = schema.get("minimum", context.get("ge"))
    above = schema.get("exclusiveMinimum", context.get("gt"))
    most = schema.get("maximum", context.get("le"))
    below = schema.get("exclusiveMaximum", context.get("lt"))
    if least is not None and most is not None:
        return f" from {_number(least)} to {_number(most)}"
    limits = {"of at least": least, "above": above, "up to": most, "below": below}
    words = [f"{word} {_number(limit)}" for word, limit in limits.items() if limit is not None]
    return " " + ", ".join(words) if words else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
