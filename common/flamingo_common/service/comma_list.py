"""The type of every setting that is a comma-separated list.

Pure.
"""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

Item = TypeVar("Item")


def split_commas(text: str) -> tuple[str, ...]:
    """Return the items of a comma-separated list, without blanks around them or empty items."""
    return tuple(item for part in text.split(",") if (item := part.strip()))


def _items(value: object) -> object:
    return list(split_commas(value)) if isinstance(value, str) else value


CommaList = Annotated[list[Item], NoDecode, BeforeValidator(_items)]
"""A flag or variable `a, b`, a flag that is repeated, or a list in a settings file."""
