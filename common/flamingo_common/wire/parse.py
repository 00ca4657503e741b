"""Parses request bodies into request types, or raises one error that lists every problem.

Pure.
"""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from flamingo_common.errors import BadRequest

T = TypeVar("T", bound=BaseModel)
MAX_LISTED_ERRORS = 8
CONTENT_TAGS = frozenset({"text", "parts"})
PART_TAGS = frozenset({"text", "input_audio", "audio_url", "audio"})


def parse_json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in `body`.

    Raises:
        BadRequest: it is not valid JSON (NaN and Infinity are not), or not an object.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the request body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("the request body must be a JSON object")
    return value


def validate_request(kind: type[T], fields: dict[str, object], *, is_form: bool = False) -> T:
    """Return `fields` as a `kind`; the fields of a form are text, where `"8"` is a number.

    Raises:
        BadRequest: `param` is the first invalid field; the message lists them all.
    """
    try:
        return kind.model_validate(fields, strict=False if is_form else None)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    messages = [f"{_path(detail)}: {_reason(detail)}" for detail in details[:MAX_LISTED_ERRORS]]
    if len(details) > MAX_LISTED_ERRORS:
        messages.append(f"and {len(details) - MAX_LISTED_ERRORS} more")
    raise BadRequest("; ".join(messages), param=_path(details[0]))


def _path(detail: ErrorDetails) -> str:
    """Return the path of the invalid field, for example `messages[0].content[1].text`."""
    path, before = "", None
    for step in detail["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not _is_union_tag(step, before):
            path += f".{step}" if path else step
        before = step
    return path or "body"


def _is_union_tag(step: str, before: int | str | None) -> bool:
    """Return whether `step` is the tag of a union's branch, which pydantic puts into the path."""
    return (before == "content" and step in CONTENT_TAGS) or (
        isinstance(before, int) and step in PART_TAGS
    )


def _reason(detail: ErrorDetails) -> str:
    return detail["msg"].removeprefix("Value error, ")
