"""Checks one line of a batch's input.

Pure.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flamingo_batches.checks import clips
from flamingo_batches.checks.clips import ClipReference
from flamingo_common.errors import BadRequest
from flamingo_common.wire import parse
from flamingo_common.wire.batches import BATCH_REQUESTS, BatchFault

MAX_CUSTOM_ID_CHARS = 512
SAMPLE = "UklGRg=="
"""Stands for a clip while the rest of a body is checked."""
KNOWN = {"custom_id", "method", "url", "body"}


@dataclass(frozen=True, slots=True)
class CheckedLine:
    """A valid line: its id, the clips that it refers to, and what names its first clip."""

    custom_id: str
    references: Sequence[ClipReference]
    clip_key: bytes
    """Equal for lines about the same clip; b"" without one."""


def check(text: bytes, number: int, endpoint: str) -> CheckedLine | list[BatchFault]:
    """Return the line, or all its faults; `number` is its place in the file, from 1."""
    try:
        line = parse.parse_json_object(text, what="the line")
    except BadRequest as error:
        return [BatchFault(code="invalid_json_line", line=number, message=error.message)]
    faults = [*_faults(line, number, endpoint)]
    if faults:
        return faults
    body: Any = line["body"]
    key, found = _clip_key(body), clips.references(body)
    body_faults = [*_body_faults(body, number, endpoint)]
    references = [reference for _, reference in found]
    return body_faults or CheckedLine(str(line["custom_id"]), references, key)


def _faults(line: dict[str, Any], number: int, endpoint: str) -> Iterator[BatchFault]:
    """Yield the faults of a line's own fields."""
    custom_id, url, body = line.get("custom_id"), line.get("url"), line.get("body")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= MAX_CUSTOM_ID_CHARS:
        wanted = f"must be a string of 1 to {MAX_CUSTOM_ID_CHARS} characters"
        yield _fault("invalid_custom_id", number, f"custom_id: {wanted}", "custom_id")
    if line.get("method") != "POST":
        yield _fault("invalid_method", number, "method: must be 'POST'", "method")
    if url != endpoint:
        message = f"url: must be {endpoint!r}, the endpoint of the batch"
        yield _fault("mismatched_url", number, message, "url")
    for name in sorted(set(line) - KNOWN):
        message = f"{name[:64]}: is unknown; allowed: {', '.join(sorted(KNOWN))}"
        yield _fault("unknown_parameter", number, message, name[:64])
    if not isinstance(body, dict):
        yield _fault("invalid_body", number, "body: must be an object", "body")
    elif faults := _reference_faults(body):
        yield _fault("invalid_body", number, f"body.{faults}", "body")


def _reference_faults(body: dict[str, Any]) -> str:
    try:
        clips.references(body)
    except clips.InvalidReference as error:
        return str(error)
    return ""


def _body_faults(body: dict[str, Any], number: int, endpoint: str) -> Iterator[BatchFault]:
    """Yield the faults of a body; changes it."""
    found = clips.references(body)
    clips.put_audio(found, [SAMPLE] * len(found))
    if body.get("stream"):
        yield _fault("invalid_body", number, "body.stream: a batch cannot stream", "body.stream")
        del body["stream"]
    if body.get("encoding_format") == "npy":
        message = "body.encoding_format: must be 'float' or 'base64': results are JSON"
        yield _fault("invalid_body", number, message, "body.encoding_format")
    try:
        parse.validate_request(BATCH_REQUESTS[endpoint], body)
    except BadRequest as error:
        yield _fault(error.code, number, f"body: {error.message}", f"body.{error.param}")


def _clip_key(body: dict[str, Any]) -> bytes:
    for place in clips.places(body):
        value = place.value
        if isinstance(value, dict):
            value = value.get("file_id") or value.get("url") or value.get("data")
        if isinstance(value, str):
            return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()[:16]
    return b""


def _fault(code: str, number: int, message: str, param: str) -> BatchFault:
    return BatchFault(code=code, line=number, message=message, param=param)
