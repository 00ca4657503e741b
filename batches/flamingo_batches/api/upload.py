"""Reads the form of an upload, and writes its file while it arrives."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, web

from flamingo_batches import ids
from flamingo_batches.state import State
from flamingo_common.errors import BadRequest, RequestTooLarge, UnsupportedMediaType
from flamingo_common.service import content_coding
from flamingo_common.wire import parse
from flamingo_common.wire.files import FileUpload

MAX_FIELD_BYTES = 4096
MAX_FIELDS = 16
MAX_FILENAME_CHARS = 255
READ_BYTES = 2**18
DEFAULT_NAME = "file"
_NESTED = re.compile(r"([a-z_]+)\[([a-z_]+)\]")
"""How OpenAI's clients send an object: `expires_after[seconds]`."""


@dataclass(slots=True)
class Upload:
    """An uploaded file, whose contents are written, and the form's other fields."""

    file_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    filename: str = ""
    num_bytes: int = 0

    @property
    def path(self) -> str:
        """Where the contents are."""
        return ids.contents_path(self.file_id)

    def parse(self) -> FileUpload:
        """Return the fields.

        Raises:
            BadRequest: a field is missing or invalid.
        """
        return parse.validate_request(FileUpload, self.fields, is_form=True)


async def receive(request: web.Request, state: State) -> Upload:
    """Read the form, and write its file under a new id; after an error nothing is left of it.

    Raises:
        UnsupportedMediaType: the body is not a form, or has a content coding.
        RequestTooLarge: the file exceeds `max_file_bytes`.
        BadRequest: the form is invalid.
    """
    if not request.content_type.startswith("multipart/"):
        raise UnsupportedMediaType("send the file as a form (multipart/form-data)")
    upload = Upload(ids.new_file())
    try:
        await _read_parts(request, state, upload)
        upload.parse()
    except BaseException as error:
        await state.contents.delete([upload.path])
        if isinstance(error, ValueError):  # aiohttp's, about the form
            raise BadRequest(f"the form is malformed: {error}") from None
        raise
    return upload


async def _read_parts(request: web.Request, state: State, upload: Upload) -> None:
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or not part.name:
            raise BadRequest("each part of the form must have a name, and no parts of its own")
        content_coding.check_part(part.headers, f"the part {part.name[:64]!r}")
        if part.name == "file":
            await _write_file(part, state, upload)
        else:
            await _add_field(part, part.name, upload)
    if not upload.filename:
        raise BadRequest("file: is required, a part of the form with a file", param="file")


async def _write_file(part: BodyPartReader, state: State, upload: Upload) -> None:
    if upload.filename:
        raise BadRequest("file: a form can have one file only", param="file")
    upload.filename = _clean(part.filename or DEFAULT_NAME)
    counted = _counted(part, upload, state.settings.max_file_bytes)
    await state.contents.write(upload.path, counted)


async def _counted(part: BodyPartReader, upload: Upload, limit: int) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(READ_BYTES):
        upload.num_bytes += len(chunk)
        if upload.num_bytes > limit:
            raise RequestTooLarge(f"the file exceeds the limit of {limit} bytes", param="file")
        yield bytes(chunk)


async def _add_field(part: BodyPartReader, name: str, upload: Upload) -> None:
    if len(upload.fields) >= MAX_FIELDS:
        raise BadRequest(f"a form can have {MAX_FIELDS} fields only")
    nested = _NESTED.fullmatch(name)
    target = upload.fields.setdefault(nested[1], {}) if nested else upload.fields
    key = nested[2] if nested else name
    if not isinstance(target, dict) or key in target:
        raise BadRequest(f"{name[:64]}: given several times", param=name[:64])
    target[key] = await _text(part, name)


async def _text(part: BodyPartReader, name: str) -> str:
    text = bytearray()
    while chunk := await part.read_chunk(MAX_FIELD_BYTES):
        text += chunk
        if len(text) > MAX_FIELD_BYTES:
            raise BadRequest(f"{name[:64]}: exceeds {MAX_FIELD_BYTES} bytes", param=name[:64])
    return text.decode("utf-8", "replace")


def _clean(filename: str) -> str:
    """Return the last part of a file's path, without what no file name has."""
    name = re.split(r"[/\\]", filename)[-1]
    return "".join(each for each in name if each.isprintable())[:MAX_FILENAME_CHARS] or DEFAULT_NAME
