"""What was meant by a field that the API server does not know.

Pure.
"""

import difflib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from flamingo_operator.api import names
from flamingo_operator.api.rules import Block
from flamingo_operator.api.spec import FlamingoDeployment

UNKNOWN = re.compile(r'unknown field "([^"]+)"|\.([\w.\[\]]+): field not declared in schema')
STRICT = "strict decoding error: "
CANNOT_DECODE = f'{names.KIND} in version "{names.VERSION}" cannot be handled as a {names.KIND}'
MAX_PLACES = 2


def with_hints(message: str) -> str:
    """Return an error of the API server, with what its unknown fields may be meant to be."""
    return UNKNOWN.sub(_with_hint, _without_object(message))


def _with_hint(found: re.Match[str]) -> str:
    hint = _suggestion(found[1] or found[2])
    return f"{found[0]} (did you mean {hint}?)" if hint else found[0]


def _without_object(message: str) -> str:
    """Return the error about a patch as that about a new object, which does not quote all of it."""
    _, found, errors = message.rpartition(STRICT)
    return f"{CANNOT_DECODE}: {STRICT}{errors}" if found else message


def _suggestion(path: str) -> str | None:
    *parents, name = re.sub(r"\[\d+\]", "", path).split(".")
    block: Any = FlamingoDeployment
    for parent in parents:
        block = _fields(block).get(parent) if block is not None else None
    known = _fields(block) if block is not None else {}
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return ".".join([*parents, nearest[0]])
    return _elsewhere(name)


def _elsewhere(name: str) -> str | None:
    """Return the other places in the spec that have a field of this name, if they are few."""
    places = [path for path in _paths(FlamingoDeployment, "") if path.rpartition(".")[2] == name]
    return " or ".join(places) if len(places) <= MAX_PLACES else None


def _paths(block: type[Block], prefix: str) -> list[str]:
    paths = []
    for name, inner in _fields(block).items():
        paths.append(f"{prefix}{name}")
        if inner is not None:
            paths += _paths(inner, f"{prefix}{name}.")
    return paths


def _fields(block: type[Block]) -> Mapping[str, type[Block] | None]:
    """Return the fields of a block; those that are blocks themselves with their type."""
    return {
        field.alias or name: _block_of(field.annotation)
        for name, field in block.model_fields.items()
    }


def _block_of(annotation: Any) -> type[Block] | None:
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation
    if get_origin(annotation) in (list, Union, UnionType):
        found = (_block_of(one) for one in get_args(annotation))
        return next((one for one in found if one is not None), None)
    return None
