"""Bytes → a request type, or one error that lists every fault.

Pure.
"""

from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from flamingo_common.errors import BadRequest

T = TypeVar("T", bound=BaseModel)
MAX_FAULTS = 8
CONTENT_TAGS = frozenset({"text", "parts"})
PART_TAGS = frozenset({"text", "input_audio", "audio_url", "audio"})


def parse_json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in `body`.

    Raises:
        BadRequest: it is not JSON (NaN and Infinity are not JSON), or no object.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object")
    return value


def validate_request(kind: type[T], fields: dict[str, object], *, is_form: bool = False) -> T:
    """Return `fields` as `kind`; those of a form are text, and `"8"` is a number there.

    Raises:
        BadRequest: `param` is the first faulty field; the message lists them all.
    """
    try:
        return kind.model_validate(fields, strict=False if is_form else None)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{_path(fault)}: {_sentence(fault)}" for fault in faults[:MAX_FAULTS]]
    if len(faults) > MAX_FAULTS:
        told.append(f"and {len(faults) - MAX_FAULTS} more")
    raise BadRequest("; ".join(told), param=_path(faults[0]))


def _path(fault: ErrorDetails) -> str:
    """`('messages', 0, 'content', 'parts', 1, 'text', 'text')` → `messages[0].content[1].text`."""
    path, before = "", None
    for step in fault["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not _names_a_branch(step, before):
            path += f".{step}" if path else step
        before = step
    return path or "body"


def _names_a_branch(step: str, before: int | str | None) -> bool:
    """Whether pydantic put a union's branch, not a field, into the path."""
    return (before == "content" and step in CONTENT_TAGS) or (
        isinstance(before, int) and step in PART_TAGS
    )


def _sentence(fault: ErrorDetails) -> str:
    return fault["msg"].removeprefix("Value error, ")
