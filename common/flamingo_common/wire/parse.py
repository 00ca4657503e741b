"""Parses request bodies into request types, or raises one error that lists every problem.

Pure.
"""

import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from flamingo_common.errors import BadRequest, UnknownParameter, UnsupportedParameter
from flamingo_common.wire import json_faults
from flamingo_common.wire.reasons import reason_of, type_of
from flamingo_common.wire.unknown_parameters import MAX_LISTED, Checking, Rejected, shortened

T = TypeVar("T", bound=BaseModel)
UNION_TAGS: Mapping[str, Collection[str]] = {
    "content": frozenset({"text", "parts"}),
    "input": frozenset({"text", "items", "parts"}),
    "output": frozenset({"text", "parts"}),
    "instructions": frozenset({"text", "parts"}),
    "value": frozenset({"text", "flag"}),
    "tool_choice": frozenset({"word", "named", "allowed"}),
    "function_call": frozenset({"word", "named"}),
    "json": frozenset({"text", "object"}),
    "guided_json": frozenset({"text", "object"}),
}
"""By field; pydantic puts the tag of a union's branch into the path of an error."""
PART_TAGS = frozenset(
    {
        *("text", "input_audio", "audio_url", "audio", "file"),
        *("input_text", "output_text", "input_file"),
        *("message item", "call item", "result item", "reasoning item"),
        *("input_json", "predicate", "choice", "score"),
    }
)
"""Of a list's items."""


def parse_json_object(body: bytes, *, what: str = "the request body") -> dict[str, object]:
    """Return the JSON object in `body`; of a name that it has twice, the last value counts.

    Raises:
        BadRequest: it is not valid JSON (NaN and Infinity are not), or not an object; the message
            calls the body `what`.
    """
    value = parse_json_value(body, what=what)
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object, not {type_of(value)}")
    return value


def parse_json_value(body: bytes, *, what: str) -> Any:
    """Return the JSON value in `body`.

    Raises:
        BadRequest: it is not valid JSON (NaN and Infinity are not).
    """
    text = json_faults.without_mark(body)
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(json_faults.describe(text, str(error), what=what)) from None


def validate_request(kind: type[T], fields: dict[str, object], *, is_form: bool = False) -> T:
    """Return `fields` as a `kind`; the fields of a form are text, where `"8"` is a number.

    Raises:
        UnknownParameter: a field is not in the table of parameters.
        UnsupportedParameter: one is in the table as refused.
        BadRequest: another field is invalid. Each message lists all errors, those of the first
            kind first, and `param` is the path of the first.
    """
    checking = Checking(is_form)
    if is_form:
        fields = _with_lists(kind, fields)
    try:
        return kind.model_validate(fields, strict=False if is_form else None, context=checking)
    except ValidationError as error:
        details = error.errors(include_url=False)
    details.sort(key=lambda detail: len(detail["loc"]))
    found = (_problem(detail, kind, is_form=is_form) for detail in details)
    problems = sorted(found, key=lambda problem: problem.rank)
    messages = [problem.message for problem in problems[:MAX_LISTED]]
    num_more = len(details) + checking.num_left_out - len(messages)
    messages += [f"and {num_more} more"] if num_more else []
    first = problems[0]
    raise ERRORS[first.rank]("; ".join(messages), param=first.path)


def _with_lists(kind: type[BaseModel], fields: Mapping[str, object]) -> dict[str, object]:
    """Return a form's fields; a value that was sent once, for a list, is a list of one."""
    return {
        name: [value] if isinstance(value, str) and name in _lists(kind) else value
        for name, value in fields.items()
    }


@functools.cache
def _lists(kind: type[BaseModel]) -> frozenset[str]:
    """Return the fields that are lists of texts or numbers, which a form's parts can be."""
    return frozenset(
        field.alias or name
        for name, field in kind.model_fields.items()
        if any(_is_plain_list(one) for one in _options(field.annotation))
    )


def _options(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, without their constraints."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    else:
        yield annotation


def _is_plain_list(annotation: Any) -> bool:
    items = get_args(annotation) if get_origin(annotation) is list else ()
    options = (option for item in items for option in _options(item))
    return any(option in (str, int, float) or get_origin(option) is Literal for option in options)


ERRORS = (UnknownParameter, UnsupportedParameter, BadRequest)
"""By rank."""


class _Problem(NamedTuple):
    rank: int
    path: str
    message: str


def _problem(detail: ErrorDetails, kind: type[BaseModel], *, is_form: bool) -> _Problem:
    rejected = detail["input"]
    if detail["type"] != "extra_forbidden" or not isinstance(rejected, Rejected):
        path = _path(detail["loc"]) or "body"
        return _Problem(2, path, f"{path}: {reason_of(detail, kind, is_form=is_form)}")
    inside, name = _path(detail["loc"][:-1]), shortened(rejected.name)
    path = f"{inside}.{name}" if inside else name
    return _Problem(int(rejected.row is not None), path, f"parameter {path!r} {rejected.reason}")


def _path(loc: Sequence[int | str]) -> str:
    """Return the path of the invalid field, for example `messages[0].content[1].text`."""
    path, before = "", None
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not _is_union_tag(step, before):
            path += f".{shortened(step)}" if path else shortened(step)
        before = step
    return path


def _is_union_tag(step: str, before: int | str | None) -> bool:
    """Return whether `step` is the tag of a union's branch, which pydantic puts into the path."""
    return step in (PART_TAGS if isinstance(before, int) else UNION_TAGS.get(before or "", ()))
