"""Read a request's body, JSON or multipart: its fields and its file.

Every byte is counted as it arrives, against the body's limit and the pod's memory budget; a file
is written to where a decode worker can open it.

A multipart form has the audio in a part `file`, and fields as parts of their own, as JSON in a
part `request`, or both. So `curl -F file=@song.mp3 -F style=brief` works.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, StreamReader, hdrs, web
from aiohttp.http import HttpProcessingError

from flamingo_common.errors import BadRequest, InvalidAudio, RequestTooLarge, UnsupportedMediaType
from flamingo_common.service import content_coding, http
from flamingo_common.wire import parse, requests
from flamingo_common.wire.requests import AudioInput
from flamingo_pod.api.request import form_faults
from flamingo_pod.api.request.form_faults import shortened
from flamingo_pod.audio.memory_budget import COPIES_OF_JSON, RESERVATION, Reservation
from flamingo_pod.audio.memory_file import MemoryFile

AUDIO_ID = "audio_id"
"""The field of a form that has the id of a clip in the place of its file."""
FIELD_NAME = re.compile(requests.FORM_NAME)
MAX_FIELD_BYTES = 2**20
MAX_TYPE_CHARS = 100
MAX_PARTS = 64
MAX_LINES = 16 * MAX_PARTS
"""In a form, outside the contents of its parts: boundaries and the headers of the parts."""
_TWICE = "the audio is both in the part file and in the field {}; send it once"
OFF_LOOP_BYTES = 2**18
"""Parsing more than this takes over a millisecond and leaves the event loop."""
CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True)
class ReceivedBody:
    """A request's body; `file` is None without a file part."""

    fields: dict[str, Any]
    file: MemoryFile | None = None
    is_form: bool = False


@dataclass(slots=True)
class _ByteCounter:
    """Counts a body's bytes as they arrive; its Content-Length may be absent."""

    reservation: Reservation
    max_bytes: int
    copies: int
    num_bytes: int = 0

    def expect(self, num_bytes: int) -> None:
        """Reserve memory for a body of `num_bytes`, according to its headers."""
        if num_bytes > self.max_bytes:
            raise RequestTooLarge(http.BODY_TOO_LARGE.format(limit=self.max_bytes))
        self.reservation.grow_to(self.copies * num_bytes)

    def add(self, num_bytes: int) -> None:
        """Count bytes that have arrived."""
        self.num_bytes += num_bytes
        if self.num_bytes > self.max_bytes:
            raise RequestTooLarge(http.BODY_TOO_LARGE.format(limit=self.max_bytes))
        self.reservation.grow_to(self.copies * self.num_bytes)


async def read(request: web.Request, *, max_bytes: int) -> ReceivedBody:
    """Return the request's body.

    Raises:
        RequestTooLarge: the body is too large.
        UnsupportedMediaType: it is neither JSON nor a multipart form, or a part has a coding.
        BadRequest: it is malformed.
        Overloaded: the pod's memory budget is exhausted.
    """
    is_json = request.content_type == "application/json"
    counter = _ByteCounter(request[RESERVATION], max_bytes, COPIES_OF_JSON if is_json else 1)
    counter.expect(request.content_length or 0)
    match request.content_type:
        case "multipart/form-data" if not _has_boundary(request):
            raise BadRequest(form_faults.NO_BOUNDARY)
        case "multipart/form-data":
            return await _read_multipart(request, counter)
        case "application/json":
            return ReceivedBody(await _read_json(request, counter))
        case _:
            raise UnsupportedMediaType(_other_type(request))


def _has_boundary(request: web.Request) -> bool:
    return "boundary=" in request.headers.get(hdrs.CONTENT_TYPE, "").lower()


def _other_type(request: web.Request) -> str:
    given = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip()[:MAX_TYPE_CHARS]
    found = f"the Content-Type is {given}" if given else "the header Content-Type is missing"
    advice = "send application/json or multipart/form-data"
    if given in {"application/x-www-form-urlencoded", "text/plain"}:
        advice += "; clients do not set it by themselves (curl -d, fetch): add the header for JSON"
    elif given.startswith(("audio/", "video/")) or given == "application/octet-stream":
        advice += f"; a file is sent as a form ({form_faults.FILE_EXAMPLE})"
    return f"{found}; {advice}"


def fields_with_audio(body: ReceivedBody) -> dict[str, Any]:
    """Return the fields, with a placeholder for `audio` if there is a file.

    Raises:
        BadRequest: the audio is both in a file and in a field.
        InvalidAudio: the file is empty.
    """
    return _with_placeholder(body, "audio", {"data": ""})


def audio_place(body: ReceivedBody) -> str:
    """Return the name of the part or field that has the request's one clip."""
    if body.file is not None:
        return "file"
    return AUDIO_ID if body.is_form and AUDIO_ID in body.fields else "audio"


def attached_audio(body: ReceivedBody) -> MemoryFile | AudioInput | None:
    """Return a form's file, or the clip whose id it has; None without either.

    Raises:
        BadRequest: the id is not valid.
    """
    if body.file is not None or not body.is_form or AUDIO_ID not in body.fields:
        return body.file
    given = body.fields[AUDIO_ID]
    if not isinstance(given, str) or not 0 < len(given) <= requests.MAX_ID_CHARS:
        raise BadRequest(
            f"{AUDIO_ID}: must be the id of one clip, from an earlier response", param=AUDIO_ID
        )
    return AudioInput(id=given)


def place_of(audio: MemoryFile | AudioInput) -> str:
    """Return the name of the part that `attached_audio` came from."""
    return "file" if isinstance(audio, MemoryFile) else AUDIO_ID


def check_attached_once(body: ReceivedBody) -> None:
    """Check that a form has one clip beside its messages.

    Raises:
        BadRequest: it has a file and the id of a clip.
    """
    if body.file is not None and AUDIO_ID in body.fields:
        raise BadRequest(_TWICE.format(AUDIO_ID), param=AUDIO_ID)


def fields_with_input(body: ReceivedBody) -> dict[str, Any]:
    """Return the fields, with a placeholder for `input` if there is a file.

    Raises:
        BadRequest: the audio is both in a file and in a field.
        InvalidAudio: the file is empty.
    """
    return _with_placeholder(body, "input", "data:")


def _with_placeholder(body: ReceivedBody, name: str, placeholder: object) -> dict[str, Any]:
    if body.is_form and AUDIO_ID in body.fields:
        return _with_id(body, name)
    if body.file is None:
        if body.is_form and name not in body.fields and "messages" not in body.fields:
            raise BadRequest(form_faults.missing_file(name), param="file")
        return body.fields
    if name in body.fields:
        raise BadRequest(_TWICE.format(name), param=name)
    if not body.file.size:
        raise InvalidAudio("the file is empty", param="file")
    return body.fields | {name: placeholder}


def _with_id(body: ReceivedBody, name: str) -> dict[str, Any]:
    check_attached_once(body)
    if name in body.fields:
        raise BadRequest(
            f"the audio is both in the field {AUDIO_ID} and in the field {name}; send it once",
            param=name,
        )
    audio = attached_audio(body)
    assert isinstance(audio, AudioInput)
    fields = {key: value for key, value in body.fields.items() if key != AUDIO_ID}
    return fields | {name: {"id": audio.id} if name == "audio" else audio.id}


async def _read_json(request: web.Request, counter: _ByteCounter) -> dict[str, Any]:
    # Not request.read(), which keeps the bytes as long as the request; nor a list of chunks or
    # a bytearray, with which the heap or the parser would have a third copy.
    file = counter.reservation.new_file()
    async for chunk in request.content.iter_any():
        counter.add(len(chunk))
        file.write(chunk)
    text = file.read_and_close()
    if len(text) < OFF_LOOP_BYTES:
        return parse.parse_json_object(text)
    return await asyncio.to_thread(parse.parse_json_object, text)


async def _read_multipart(request: web.Request, counter: _ByteCounter) -> ReceivedBody:
    fields: dict[str, Any] = {}
    file: MemoryFile | None = None
    try:
        reader = MultipartReader(request.headers, _LimitedLines(request.content))  # type: ignore[arg-type]
        for _ in range(MAX_PARTS):
            part = await reader.next()
            if request.content.total_bytes > counter.max_bytes:
                raise RequestTooLarge(http.BODY_TOO_LARGE.format(limit=counter.max_bytes))
            if part is None:
                return ReceivedBody(_single(fields), file, is_form=True)
            if not isinstance(part, BodyPartReader):
                raise BadRequest(
                    "a part of the form is itself multipart; nested forms are not supported"
                )
            content_coding.check_part(part.headers, f"the part {part.name or '?'!r} of the form")
            if part.name != "file":
                _add(fields, await _read_fields(part, counter))
            elif file is None:
                file = await _read_file(part, counter)
            else:
                raise BadRequest(form_faults.TWO_FILES, param="file")
    except (ValueError, AssertionError, HttpProcessingError):
        raise BadRequest(form_faults.NOT_A_FORM) from None
    raise BadRequest(f"the form has more than {MAX_PARTS} parts, the maximum")


class _LimitedLines:
    """A body of which a limited number of lines can be read.

    aiohttp reads what comes before the first part line by line; a body of nothing but short lines
    would block the event loop for minutes.
    """

    def __init__(self, content: StreamReader) -> None:
        self._content, self._num_left = content, MAX_LINES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def readline(self, **how: Any) -> bytes:
        self._num_left -= 1
        if self._num_left < 0:
            raise BadRequest(form_faults.NOT_A_FORM)
        return await self._content.readline(**how)


def _single(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields, with the text of each that was sent once as it is."""
    return {
        name: value[0] if isinstance(value, _Texts) and len(value) == 1 else value
        for name, value in fields.items()
    }


def _add(fields: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Add what one part has; a text field that is sent several times is a list.

    Raises:
        BadRequest: a field is both in the part `request` and in a part of its own.
    """
    for name, value in new.items():
        before = fields.get(name)
        if before is None:
            fields[name] = value
        elif isinstance(before, _Texts) and isinstance(value, _Texts):
            before.extend(value)
        elif value is not None:
            raise BadRequest(
                f"the field {shortened(name)!r} is in two parts of the form; send it once",
                param=f"request.{shortened(name)}",
            )


class _Texts(list[str]):
    """The texts of all parts with one name."""


async def _read_fields(part: BodyPartReader, counter: _ByteCounter) -> dict[str, Any]:
    """Return the fields of a part that is not the file."""
    content_type = part.headers.get(hdrs.CONTENT_TYPE, "").lower()
    if form_faults.is_misnamed_file(part.name, part.filename, content_type):
        raise BadRequest(form_faults.misnamed_file(part.name), param="file")
    if not FIELD_NAME.match(part.name or ""):
        raise BadRequest(form_faults.NO_NAME)
    assert part.name is not None
    raw = bytearray()
    async for chunk in _chunks(part, counter):
        raw += chunk
        if len(raw) > MAX_FIELD_BYTES:
            raise RequestTooLarge(
                f"the part {part.name!r} exceeds the limit of {MAX_FIELD_BYTES} bytes"
            )
    is_json = content_type.startswith("application/json")
    return _fields_of(part.name.removesuffix("[]"), bytes(raw), is_json=is_json)


def _fields_of(name: str, raw: bytes, *, is_json: bool) -> dict[str, Any]:
    if name == "request":
        return parse.parse_json_object(raw, what="the part 'request'")
    if name in form_faults.NAMES_OF_REQUEST and raw.lstrip().startswith(b"{"):
        raise BadRequest(form_faults.misnamed_request(name), param=name)
    if is_json:
        return {name: parse.parse_json_value(raw, what=f"the part {name!r}")}
    try:
        return {name: _Texts([raw.decode()])}
    except UnicodeDecodeError:
        raise BadRequest("the field is not valid UTF-8", param=name) from None


async def _read_file(part: BodyPartReader, counter: _ByteCounter) -> MemoryFile:
    """Return the file.

    Raises:
        BadRequest: it is text in the place of a file.
    """
    file, head = counter.reservation.new_file(), b""
    async for chunk in _chunks(part, counter):
        head = head or bytes(chunk[: form_faults.MAX_TEXT_BYTES])
        file.write(chunk)
    has_name = part.filename is not None
    if message := form_faults.text_as_file(head, file.size, has_file_name=has_name):
        raise BadRequest(message, param="file")
    return file


async def _chunks(part: BodyPartReader, counter: _ByteCounter) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(CHUNK_BYTES):
        counter.add(len(chunk))
        yield chunk
