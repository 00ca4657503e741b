"""Request bodies: multipart with the JSON part first, or JSON where there is no file.

A request with a clip is multipart/form-data: first `request` (JSON), then `file`. The
router decides on the first bytes of an upload, so the parameters must come before the
audio. The body has a `Content-Length`, from which the router estimates the clip's length
if the container's header does not contain it.
"""

import asyncio
import json

import aiohttp
from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from flamingo.client.fields import RequestFields
from flamingo.client.sources import Clip

CHUNK_BYTES = 2**18


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
            EOFError: the file is now shorter than the announced size.
        """
        offset = 0
        while offset < self._clip.size_bytes:
            # Never beyond the announced size, even if the file has grown since.
            num_bytes = min(CHUNK_BYTES, self._clip.size_bytes - offset)
            chunk = await asyncio.to_thread(self._clip.read_at, offset, num_bytes)
            if not chunk:
                raise EOFError(f"{self._clip.name} was truncated while it was being uploaded")
            await writer.write(chunk)
            offset += len(chunk)


def json_body(fields: RequestFields) -> payload.Payload:
    """Return a JSON body."""
    return payload.BytesPayload(json.dumps(fields).encode(), content_type="application/json")


def multipart_body(fields: RequestFields, clip: Clip) -> aiohttp.MultipartWriter:
    """Return a multipart body: the parameters, then the clip."""
    body = aiohttp.MultipartWriter("form-data")
    request = body.append_payload(json_body(fields))
    request.set_content_disposition("form-data", name="request")
    file = body.append_payload(ClipPayload(clip))
    file.set_content_disposition("form-data", name="file", filename=clip.name)
    return body
