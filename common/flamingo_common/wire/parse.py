"""Parses request bodies into request types, or raises one error that lists every problem.

Pure.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from flamingo_common.errors import BadRequest, UnknownParameter, UnsupportedParameter
from flamingo_common.wire import form_text, json_faults, reasons, schema_paths
from flamingo_common.wire.unknown_parameters import MAX_LISTED, Checking, Rejected, shortened

T = TypeVar("T", bound=BaseModel)


def parse_json_object(body: bytes, *, what: str = "the request body") -> dict[str, object]:
    """Return the JSON object in `body`; of a name that it has twice, the last value counts.

    Raises:
        BadRequest: it is not valid JSON (NaN and Infinity are not), or not an object; the message
            calls the body `what`.
    """
    value = parse_json_value(body, what=what)
    if not isinstance(value, dict):
        raise BadRequest(f"{what} must be a JSON object, not {reasons.type_of(value)}")
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
    """Return `fields` as a `kind`; those of a form or query are text, where `"8"` is a number.

    Raises:
        UnknownParameter: a field is not in the table of parameters.
        UnsupportedParameter: one is in the table as refused.
        BadRequest: another field is invalid. Each message lists all errors, those of the first
            kind first, and `param` is the path of the first.
    """
    checking = Checking(is_form)
    try:
        values = form_text.converted(kind, fields) if is_form else fields
        return kind.model_validate(values, context=checking)
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


ERRORS = (UnknownParameter, UnsupportedParameter, BadRequest)
"""By rank."""


class _Problem(NamedTuple):
    rank: int
    path: str
    message: str


def _problem(detail: ErrorDetails, kind: type[BaseModel], *, is_form: bool) -> _Problem:
    rejected = detail["input"]
    if detail["type"] != "extra_forbidden" or not isinstance(rejected, Rejected):
        path = _path(reasons.field_of(detail)) or "body"
        return _Problem(2, path, f"{path}: {reasons.reason_of(detail, kind, is_form=is_form)}")
    inside, name = _path(detail["loc"][:-1]), shortened(rejected.name)
    path = f"{inside}.{name}" if inside else name
    return _Problem(int(rejected.row is not None), path, f"parameter {path!r} {rejected.reason}")


def _path(loc: Sequence[int | str]) -> str:
    """Return the path of the invalid field, for example `messages[0].content[1].text`."""
    path = ""
    for step in schema_paths.without_tags(loc):
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{shortened(step)}" if path else shortened(step)
    return path
