"""Says in plain words why pydantic found a field invalid, with the limits of the field.

Values are never repeated, as they may be secret, or as long as a body.

Pure.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from flamingo_common import numerals
from flamingo_common.wire import schema_paths
from flamingo_common.wire.schema_paths import Schema

IN_REQUEST_PART = "; in a form it belongs in the part request, as JSON"
MAX_COMPARED_CHARS = 64
SIMILARITY = 0.75
Context = Mapping[str, Any]


def reason_of(detail: ErrorDetails, kind: type[BaseModel], *, is_form: bool = False) -> str:
    """Return what is wrong with a field of a request of the type `kind`, without its path."""
    reason = _reason_of(detail, kind, is_form=is_form)
    return f"its name {reason}" if detail["loc"][-1:] == (schema_paths.KEY,) else reason


def _reason_of(detail: ErrorDetails, kind: type[BaseModel], *, is_form: bool) -> str:
    context: Context = detail.get("ctx", {})
    name, value = detail["type"], detail["input"]
    allowed = schema_paths.alternatives(kind, schema_paths.without_tags(field_of(detail)))
    if name in NUMBERS:
        noun = WHOLE if _is_integer(detail, allowed) else "a number"
        return f"must be {noun}{_range(detail, allowed)}{_unlike_number(value, is_form=is_form)}"
    if name in EXPECTED:
        hint = IN_REQUEST_PART if is_form and isinstance(value, str) and name in NESTED else ""
        return f"must be {_expected(allowed) or EXPECTED[name]}, not {type_of(value)}{hint}"
    if name in UNTAGGED:
        return f"{UNTAGGED[name]} {_expected(allowed)}"
    if name == "literal_error":
        return _no_literal(value, allowed, context)
    if name in TEXTS:
        return TEXTS[name](context)
    return detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def field_of(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Return the place of what is wrong: of an object without a known type, its type."""
    return (*detail["loc"], "type") if detail["type"] in UNTAGGED else detail["loc"]


UNTAGGED = {"union_tag_not_found": "is required:", "union_tag_invalid": "must be"}
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
    "frozen_set_type": "an array",
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


NOUNS = {
    "string": "a string",
    "boolean": "true or false",
    "integer": WHOLE,
    "number": "a number",
    "array": "an array",
    "object": "an object",
}
"""By the type in a JSON schema."""


def _expected(allowed: Sequence[Schema]) -> str:
    """Return the values and types that are allowed: `'none', 'auto' or an object`."""
    values = [repr(value) for value in schema_paths.values(allowed)]
    types = [str(each.get("type")) for each in allowed if not each.keys() & {"enum", "const"}]
    nouns = [NOUNS[each] for each in dict.fromkeys(types) if each in NOUNS]
    if len(values) + len(nouns) > 1:
        nouns = ["a boolean" if each == NOUNS["boolean"] else each for each in nouns]
    *others, last = [*values, *nouns] or [""]
    return f"{', '.join(others)} or {last}" if others else last


def _no_literal(value: object, allowed: Sequence[Schema], context: Context) -> str:
    """Return what a value should have been that is none of those allowed."""
    expected = _expected(allowed) or context["expected"]
    if not isinstance(value, str):
        return f"must be {expected}, not {type_of(value)}"
    known = schema_paths.values(allowed)
    close = difflib.get_close_matches(value[:MAX_COMPARED_CHARS], known, 1, SIMILARITY)
    return f"must be {expected}" + (f"; did you mean {close[0]!r}?" if close else "")


def _items(context: Context, word: str, limit: str) -> str:
    things = "item" if context["field_type"] == "List" else "entry"
    plural = {"item": "items", "entry": "entries"}[things]
    return f"must have {word} {context[limit]} {things if context[limit] == 1 else plural}"


def _characters(word: str, number: int) -> str:
    return f"must have {word} {number} character{'' if number == 1 else 's'}"


PATTERNS: Mapping[str, str] = {
    "^[a-zA-Z0-9_-]{1,64}$": "must be 1 to 64 characters of a-z, A-Z, 0-9, _ and -",
    "^[a-zA-Z0-9_.-]{1,64}$": "must be 1 to 64 characters of a-z, A-Z, 0-9, _, . and -",
    "^[a-z0-9][a-z0-9-]{0,63}$": "must be 1 to 64 characters of a-z, 0-9 and -, the first no -",
    "^[A-Za-z]{2,3}(-[A-Za-z]{2,4})?$": "must be the code of a language, such as en or pt-BR",
    "^(data:|https?://|clip-)": "must be a data: or http(s) URL, or the id of a clip",
}
"""What the patterns of fields mean."""
TEXTS: Mapping[str, Callable[[Context], str]] = {
    "missing": lambda _: "is required",
    "too_short": lambda context: _items(context, "at least", "min_length"),
    "too_long": lambda context: _items(context, "at most", "max_length"),
    "string_too_short": lambda context: _characters("at least", context["min_length"]),
    "string_too_long": lambda context: _characters("at most", context["max_length"]),
    "string_pattern_mismatch": lambda context: PATTERNS.get(
        context["pattern"], f"must match the pattern {context['pattern']}"
    ),
}


def _number_schema(allowed: Sequence[Schema]) -> Schema:
    return next((one for one in allowed if one.get("type") in {"integer", "number"}), {})


def _is_integer(detail: ErrorDetails, allowed: Sequence[Schema]) -> bool:
    return detail["type"] in INTEGERS or _number_schema(allowed).get("type") == "integer"


def _range(detail: ErrorDetails, allowed: Sequence[Schema]) -> str:
    """Return the limits of a number's field, or at least that which the value exceeds."""
    schema, context = _number_schema(allowed), detail.get("ctx", {})
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
