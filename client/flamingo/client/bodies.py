"""Request bodies: multipart with the JSON part first, or JSON where there is no file.

A request with a clip is multipart/form-data: first `request` (JSON), then `file`. The
router decides on the first bytes of an upload, so the parameters must come before the
audio. The body has a `Content-Length`, from which the router estimates the clip's length
if the container's header does not contain it.
"""

import json
import os
import re
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp
from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from flamingo.client import blocking, sources
from flamingo.client.fields import RequestFields
from flamingo.client.sources import Clip, ClipId
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

CHUNK_BYTES = 2**18
_SURROGATE = re.compile(r"\\ud[89a-f]")


class ClipPayload(payload.Payload):
    """A clip that is read in chunks while it is sent."""

    def __init__(self, clip: Clip) -> None:
        super().__init__(clip, content_type="application/octet-stream")
        self._clip = clip
        self._size = clip.size_bytes

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text; required by aiohttp's interface, unused here."""
        return self._clip.read_at(0, self._clip.size_bytes).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the clip.

        Raises:
            EOFError: the file cannot be read, or is now shorter than the announced size.
        """
        offset, digest = 0, sources.new_digest()
        while offset < self._clip.size_bytes:
            # Never beyond the announced size, even if the file has grown since.
            num_bytes = min(CHUNK_BYTES, self._clip.size_bytes - offset)
            chunk = await self._read(offset, num_bytes)
            await writer.write(chunk)
            offset += len(chunk)
            if self._clip.on_sent is not None:
                digest.update(chunk)
        if self._clip.on_sent is not None:
            self._clip.on_sent(digest.digest())

    async def _read(self, offset: int, num_bytes: int) -> bytes:
        name = printable.escape_line(self._clip.name)
        try:
            chunk = await blocking.run_to_end(self._clip.read_at, offset, num_bytes)
        except OSError as error:  # not the connection's, although aiohttp would take it for that
            raise EOFError(f"{name}: {(error.strerror or str(error)).lower()}") from None
        if not chunk:
            raise EOFError(f"{name} was truncated while it was being uploaded")
        return chunk


def json_body(fields: RequestFields) -> payload.Payload:
    """Return a JSON body.

    Raises:
        BadRequest: a text in it is not Unicode, such as an argument in Latin-1, or a number is
            NaN or infinite.
    """
    try:
        document = json.dumps(fields, allow_nan=False)
    except ValueError:
        _check_finite(fields)
        raise
    if _SURROGATE.search(document):
        _check_unicode(fields)
    return payload.BytesPayload(document.encode(), content_type="application/json")


def _check_finite(fields: RequestFields) -> None:
    for name, value in fields.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise BadRequest(f"{name} must be finite, not NaN or infinite", param=name) from None


def _check_unicode(fields: RequestFields) -> None:
    for name, value in fields.items():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            shown = printable.escape_line(error.object[max(0, error.start - 20) : error.end])
            raise BadRequest(
                f"{name} is not valid Unicode text at {shown!r}; arguments must be UTF-8",
                param=name,
            ) from None


def filename_parameter(name: str) -> str:
    """Return a file name as RFC 7578 sends it: bytes other than letters and digits as `%E9`."""
    try:
        return quote(os.fsencode(name), safe="")
    except UnicodeEncodeError:  # not from `os.fsdecode`, or a limited locale
        return quote(name.encode("utf-8", "replace"), safe="")


def multipart_body(fields: RequestFields, clip: Clip | ClipId) -> aiohttp.MultipartWriter:
    """Return a multipart body: the parameters, then the clip or its id."""
    body = aiohttp.MultipartWriter("form-data")
    request = body.append_payload(json_body(fields))
    request.set_content_disposition("form-data", name="request")
    if isinstance(clip, ClipId):
        part = body.append_payload(payload.StringPayload(clip))
        part.set_content_disposition("form-data", name="audio_id")
    else:
        _append_file(body, clip)
    return body


def form_body(form: Mapping[str, str], clip: Clip) -> aiohttp.MultipartWriter:
    """Return a multipart body: text fields, then the file."""
    body = aiohttp.MultipartWriter("form-data")
    for name, value in form.items():
        text = body.append_payload(payload.StringPayload(value))
        text.set_content_disposition("form-data", name=name)
    _append_file(body, clip)
    return body


def _append_file(body: aiohttp.MultipartWriter, clip: Clip) -> None:
    file = body.append_payload(ClipPayload(clip))
    name = filename_parameter(clip.name)
    file.set_content_disposition("form-data", quote_fields=False, name="file", filename=name)
