"""Where the values of a JSON text stand in it.

Pure.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from flamingo_common import json_pointer

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


@dataclass(frozen=True, slots=True)
class Value:
    """A string, number, boolean or null of a JSON text."""

    pointer: str
    """JSON Pointer to it (RFC 6901): `/genre/0`; empty for a text that is one such value."""
    start: int
    """Index of its first character."""
    end: int
    """Index behind its last one; of a number behind the character that ends it, if there is one."""


@dataclass(slots=True)
class _Container:
    """An object or array that is open."""

    is_object: bool
    key: str = ""
    """The last one that was read, of an object."""
    index: int = 0
    """Of the next item of an array."""
    is_key_next: bool = True
    """Whether the next string of an object is a key."""

    @property
    def place(self) -> str | int:
        return self.key if self.is_object else self.index

    def advance(self) -> None:
        self.index += 1
        self.is_key_next = True


def values(text: str) -> Iterator[Value]:
    """Yield the strings, numbers, booleans and nulls of a valid JSON text, in their order."""
    open_ones: list[_Container] = []
    for found in _PIECE.finditer(text):
        piece, inner = found.group(), open_ones[-1] if open_ones else None
        if piece in "{[":
            open_ones.append(_Container(is_object=piece == "{"))
        elif piece in "}]":
            open_ones.pop()
        elif piece == ",":
            open_ones[-1].advance()
        elif inner is not None and inner.is_object and inner.is_key_next:
            inner.key, inner.is_key_next = json.loads(piece), False
        elif piece != ":":
            places = [each.place for each in open_ones]
            pointer = functools.reduce(json_pointer.child, places, "")
            is_number = piece[0] in "-0123456789"
            end = min(found.end() + is_number, len(text))
            yield Value(pointer, found.start(), end)
