"""A request's body, JSON or multipart, → its fields and its file.

Every byte is counted as it comes, against the body's limit and the pod's; a
file goes to where a decoding worker can open it.

Multipart: a part `request` holds the JSON fields, plain fields add to them, and
a part `file` is the audio. So `curl -F file=@song.mp3 -F style=brief` works.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.http import HttpProcessingError

from flamingo_common.errors import BadRequest, InvalidAudio, RequestTooLarge, UnsupportedMediaType
from flamingo_common.wire import parse, requests
from flamingo_pod.audio.memory_budget import COPIES_OF_JSON, RESERVATION, Reservation
from flamingo_pod.audio.memory_file import MemoryFile

FIELD_NAME = re.compile(requests.FORM_NAME)
MAX_FIELD_BYTES = 2**20
MAX_PARTS = 64
MAX_LINES = 16 * MAX_PARTS
"""Of a form, outside its parts' contents: boundaries and the parts' headers."""
OFF_LOOP_BYTES = 2**18
"""Parsing more than this takes over a millisecond and leaves the event loop."""
CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class Body:
    """What came in; `file` is None where there was no file part."""

    fields: dict[str, Any]
    file: MemoryFile | None = None
    is_form: bool = False


@dataclass(slots=True)
class _Count:
    """Bytes of one body, as they come: a length may be absent, or of what is compressed."""

    holding: Reservation
    max_bytes: int
    copies: int
    num_bytes: int = 0

    def expect(self, num_bytes: int) -> None:
        """Refuse a body that says it has `num_bytes`, if that is too much."""
        if num_bytes > self.max_bytes:
            raise RequestTooLarge(
                f"the body has {num_bytes} bytes; this server takes {self.max_bytes}"
            )
        self.holding.reach(self.copies * num_bytes)

    def add(self, num_bytes: int) -> None:
        """Count what came."""
        self.num_bytes += num_bytes
        if self.num_bytes > self.max_bytes:
            raise RequestTooLarge(f"the body is over {self.max_bytes} bytes")
        self.holding.reach(self.copies * self.num_bytes)


async def read(request: web.Request, *, max_bytes: int) -> Body:
    """Return the request's body.

    Raises:
        RequestTooLarge, UnsupportedMediaType, BadRequest: as they say.
        Overloaded: the pod holds too much already; nothing has been read.
    """
    is_json = request.content_type == "application/json"
    count = _Count(request[RESERVATION], max_bytes, COPIES_OF_JSON if is_json else 1)
    count.expect(request.content_length or 0)
    match request.content_type:
        case "multipart/form-data":
            return await _read_multipart(request, count)
        case "application/json":
            return Body(await _read_json(request, count))
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
    if not came.file.size:
        raise InvalidAudio("the file is empty", param="file")
    return came.fields | {name: placeholder}


async def _read_json(request: web.Request, count: _Count) -> dict[str, Any]:
    # Not request.read(), which keeps the bytes as long as the request lives; nor a list of
    # chunks or a bytearray, of which the heap or the parser would hold a third copy.
    file = count.holding.file()
    async for chunk in request.content.iter_any():
        count.add(len(chunk))
        file.write(chunk)
    text = file.take()
    if len(text) < OFF_LOOP_BYTES:
        return parse.parse_json_object(text)
    return await asyncio.to_thread(parse.parse_json_object, text)


async def _read_multipart(request: web.Request, count: _Count) -> Body:
    fields: dict[str, Any] = {}
    file: MemoryFile | None = None
    try:
        reader = MultipartReader(request.headers, _Lines(request.content))  # type: ignore[arg-type]
        for _ in range(MAX_PARTS):
            part = await reader.next()
            if request.content.total_bytes > count.max_bytes:
                raise RequestTooLarge(f"the form is over {count.max_bytes} bytes")
            if part is None:
                return Body(fields, file, is_form=True)
            if not isinstance(part, BodyPartReader):
                raise BadRequest("a part of the form is itself multipart; send a flat form")
            if part.name != "file":
                fields |= await _read_fields(part, count)
            elif file is None:
                file = await _read_file(part, count)
            else:
                raise BadRequest("the form has two files; the model hears one", param="file")
    except (ValueError, AssertionError, HttpProcessingError):
        raise BadRequest("the body is not valid multipart/form-data") from None
    raise BadRequest(f"the form has over {MAX_PARTS} parts")


class _Lines:
    """A body that is read line by line only where a form has lines.

    aiohttp skips what comes before the first part so; a body of nothing but short lines
    would hold the event loop for minutes.
    """

    def __init__(self, content: StreamReader) -> None:
        self._content, self._num_left = content, MAX_LINES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def readline(self, **how: Any) -> bytes:
        self._num_left -= 1
        if self._num_left < 0:
            raise BadRequest("the body is not valid multipart/form-data")
        return await self._content.readline(**how)


async def _read_fields(part: BodyPartReader, count: _Count) -> dict[str, Any]:
    if not FIELD_NAME.match(part.name or ""):
        raise BadRequest(
            "a part of the form has no name of letters, digits, _ . and -;"
            " what is more than text goes as JSON into the part request"
        )
    assert part.name is not None
    raw = bytearray()
    async for chunk in _chunks(part, count):
        raw += chunk
        if len(raw) > MAX_FIELD_BYTES:
            raise RequestTooLarge(f"the part {part.name!r} is over {MAX_FIELD_BYTES} bytes")
    if part.name == "request":
        return parse.parse_json_object(bytes(raw))
    try:
        return {part.name: raw.decode()}
    except UnicodeDecodeError:
        raise BadRequest("the field is not UTF-8 text", param=part.name) from None


async def _read_file(part: BodyPartReader, count: _Count) -> MemoryFile:
    file = count.holding.file()
    async for chunk in _chunks(part, count):
        file.write(chunk)
    return file


async def _chunks(part: BodyPartReader, count: _Count) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK_BYTES):
        count.add(len(chunk))
        yield chunk
