"""Where an error of pydantic is in a request, and what the JSON schema allows there.

pydantic puts the tag of a union's branch into the path of an error; in the request and in the
schema there is no such step.

Pure.
"""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]
Path = Sequence[int | str]
UNION_TAGS: Mapping[str, Collection[str]] = {
    "content": frozenset({"text", "parts"}),
    "input": frozenset({"text", "items", "parts"}),
    "output": frozenset({"text", "parts"}),
    "instructions": frozenset({"text", "parts"}),
    "value": frozenset({"text", "flag"}),
    "data": frozenset({"object", "objects"}),
    "tool_choice": frozenset({"word", "named", "allowed"}),
    "function_call": frozenset({"word", "named"}),
    "json": frozenset({"text", "object"}),
    "guided_json": frozenset({"text", "object"}),
}
"""By field."""
PART_TAGS = frozenset(
    {
        *("text", "input_audio", "audio_url", "audio", "file"),
        *("input_text", "output_text", "input_file"),
        *("message item", "call item", "result item", "reasoning item"),
        *("input_json", "predicate", "choice", "score"),
    }
)
"""Of a list's items."""
KEY = "[key]"
"""The last step of an error about a name in an object, which is the step before."""


def without_tags(loc: Path) -> tuple[int | str, ...]:
    """Return the steps of a path that are in the request."""
    before = [None, *loc]
    return tuple(step for step, last in zip(loc, before, strict=False) if not _is_tag(step, last))


def _is_tag(step: int | str, before: int | str | None) -> bool:
    if isinstance(step, int):
        return False
    if step == KEY:
        return True
    return step in (PART_TAGS if isinstance(before, int) else UNION_TAGS.get(before or "", ()))


def alternatives(kind: type[BaseModel], path: Path) -> list[Schema]:
    """Return the schemas of what a request can have at a path, without null; or none."""
    root = _schema(kind)
    found = list(_branches(root, root))
    for step in path:
        inside = [below for each in found if (below := _below(each, step)) is not None]
        found = [branch for each in inside for branch in _branches(each, root)]
    return [each for each in found if each.get("type") != "null"]


def values(schemas: Sequence[Schema]) -> list[str]:
    """Return the texts that are allowed, where only certain ones are."""
    listed = [each.get("enum", [each.get("const")]) for each in schemas]
    return list(dict.fromkeys(one for each in listed for one in each if isinstance(one, str)))


@functools.cache
def _schema(kind: type[BaseModel]) -> Schema:
    return kind.model_json_schema()


def _branches(schema: Schema, root: Schema) -> Iterator[Schema]:
    """Yield the branches of a union, and what they refer to."""
    if (reference := schema.get("$ref")) is not None:
        yield from _branches(root["$defs"][reference.rpartition("/")[2]], root)
        return
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    if "properties" in schema or not branches:  # an object's oneOf says which fields it needs
        yield schema
        return
    for branch in branches:
        yield from _branches(branch, root)


def _below(schema: Schema, step: int | str) -> Schema | None:
    """Return the schema of an item or a field; None without one."""
    if isinstance(step, int):
        below = schema.get("items")
    else:
        below = schema.get("properties", {}).get(step, schema.get("additionalProperties"))
    return below if isinstance(below, dict) else None
