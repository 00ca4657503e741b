"""Converts the text of a form or query to the types of its fields, to be validated as JSON is.

Text that a field cannot have stays as it is, so that validation says what is wrong with it.

Pure.
"""

import functools
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from flamingo_common import numerals


def converted(kind: type[BaseModel], fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields of a `kind` with numbers and booleans in the place of their text.

    A value that was sent once is a list of one where the field is a list of plain values.
    """
    types = _types(kind)
    return {name: _value(types.get(name, ()), value) for name, value in fields.items()}


@functools.cache
def _types(kind: type[BaseModel]) -> Mapping[str, tuple[Any, ...]]:
    """Return the types that each field of a `kind` can have."""
    return {
        field.alias or name: tuple(_options(field.annotation))
        for name, field in kind.model_fields.items()
    }


def _value(types: tuple[Any, ...], value: object) -> object:
    if isinstance(value, str):
        items = _items(types)
        return [_plain(items, value)] if items else _plain(types, value)
    if isinstance(value, list):
        items = _items(types)
        return [_plain(items, each) if isinstance(each, str) else each for each in value]
    if isinstance(value, dict):  # of OpenAI's `expires_after[seconds]`
        models = [one for one in types if isinstance(one, type) and issubclass(one, BaseModel)]
        return converted(models[0], value) if len(models) == 1 else value
    return value


def _plain(types: tuple[Any, ...], text: str) -> object:
    """Return the text as the first of these types that it can have: number, boolean, text."""
    is_numeric = int in types or float in types
    value: object = numerals.number(text) if is_numeric and str not in types else None
    if value is None and bool in types:
        value = numerals.boolean(text)
    return text if value is None else value


def _items(types: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types of the items, if a field is a list of texts or numbers."""
    lists = (get_args(one)[0] for one in types if get_origin(one) is list)
    items = tuple(option for item in lists for option in _options(item))
    is_plain = any(one in (str, int, float) or get_origin(one) is Literal for one in items)
    return items if is_plain else ()


def _options(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, without their constraints."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation
