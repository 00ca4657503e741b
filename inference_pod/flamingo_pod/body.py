"""A request's body, JSON or multipart, → its fields and its file.

Multipart: a part `request` holds the JSON fields, plain fields add to them, and
a part `file` is the audio. So `curl -F file=@song.mp3 -F style=brief` works.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web

from flamingo.errors import BadRequest, InvalidAudio, RequestTooLarge, UnsupportedMediaType
from flamingo.wire import parse

MAX_FIELD_BYTES = 2**20
MAX_PARTS = 64
OFF_LOOP_BYTES = 2**18
"""Parsing more than this takes over a millisecond and leaves the event loop."""
CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Body:
    """What came in; `file` is None where there was no file part."""

    fields: dict[str, Any]
    file: bytes | None = None
    is_form: bool = False


async def read(request: web.Request, *, max_bytes: int) -> Body:
    """Return the request's body.

    Raises:
        RequestTooLarge, UnsupportedMediaType, BadRequest: as they say.
    """
    if (request.content_length or 0) > max_bytes:
        raise RequestTooLarge(
            f"the body has {request.content_length} bytes; this server takes {max_bytes}"
        )
    match request.content_type:
        case "multipart/form-data":
            return await _read_multipart(request, max_bytes)
        case "application/json":
            text = await request.read()
            return Body(await _off_loop(len(text), parse.json_object, text))
        case other:
            raise UnsupportedMediaType(
                f"the body is {other}; send application/json or multipart/form-data"
            )


def with_audio(came: Body) -> dict[str, Any]:
    """Return the fields, with a placeholder where the file stands in for `audio`.

    Raises:
        BadRequest: there is no audio, or it comes twice.
    """
    return _with_placeholder(came, "audio", {"data": ""})


def with_input(came: Body) -> dict[str, Any]:
    """Return the fields, with a placeholder where the file stands in for `input`.

    Raises:
        BadRequest: there is no audio, or it comes twice.
    """
    return _with_placeholder(came, "input", "data:")


def _with_placeholder(came: Body, name: str, placeholder: object) -> dict[str, Any]:
    if came.file is None:
        return came.fields
    if name in came.fields:
        raise BadRequest("the audio comes twice, as a file and as a field", param=name)
    if not came.file:
        raise InvalidAudio("the file is empty", param="file")
    return came.fields | {name: placeholder}


async def _off_loop(num_bytes: int, function: Any, *args: Any) -> Any:
    if num_bytes < OFF_LOOP_BYTES:
        return function(*args)
    return await asyncio.to_thread(function, *args)


async def _read_multipart(request: web.Request, max_bytes: int) -> Body:
    fields: dict[str, Any] = {}
    file: bytes | None = None
    try:
        reader = await request.multipart()
        for _ in range(MAX_PARTS):
            part = await reader.next()
            if part is None:
                return Body(fields, file, is_form=True)
            if not isinstance(part, BodyPartReader):
                raise BadRequest("a part of the form is itself multipart; send a flat form")
            if part.name == "file":
                file = await _read_part(part, max_bytes)
            else:
                fields |= await _read_fields(part)
    except (ValueError, AssertionError):
        raise BadRequest("the body is not valid multipart/form-data") from None
    raise BadRequest(f"the form has over {MAX_PARTS} parts")


async def _read_fields(part: BodyPartReader) -> dict[str, Any]:
    if not part.name:
        raise BadRequest("a part of the form has no name")
    raw = await _read_part(part, MAX_FIELD_BYTES)
    if part.name == "request":
        return parse.json_object(raw)
    try:
        return {part.name: raw.decode()}
    except UnicodeDecodeError:
        raise BadRequest("the field is not UTF-8 text", param=part.name) from None


async def _read_part(part: BodyPartReader, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(CHUNK_BYTES):
        data += chunk
        if len(data) > max_bytes:
            raise RequestTooLarge(f"the part {part.name!r} is over {max_bytes} bytes")
    return bytes(data)
