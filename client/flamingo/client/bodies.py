"""A request's body on the wire.

With a clip it is multipart/form-data: `request` (JSON) first and `file` after
it, so that the router, which decides on the first bytes, knows what is asked
before the audio comes. Sizes are known, so the body has a `Content-Length`, from
which the router tells how much is coming.
"""

import asyncio
import json

import aiohttp
from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter

from flamingo.client.fields import Fields
from flamingo.client.sources import Clip

CHUNK_BYTES = 2**18


class ClipPayload(payload.Payload):
    """A clip, read piece by piece while it is sent."""

    def __init__(self, clip: Clip) -> None:
        super().__init__(clip, content_type="application/octet-stream")
        self._clip = clip
        self._size = clip.size_bytes

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text, which aiohttp's interface wants and nobody calls."""
        return self._clip.read_at(0, self._clip.size_bytes).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the clip.

        Raises:
            EOFError: the file has become shorter since its size was announced.
        """
        offset = 0
        while offset < self._clip.size_bytes:
            # Never beyond the announced size: a file that grows is sent as it was.
            num_bytes = min(CHUNK_BYTES, self._clip.size_bytes - offset)
            chunk = await asyncio.to_thread(self._clip.read_at, offset, num_bytes)
            if not chunk:
                raise EOFError(f"{self._clip.name} became shorter while it was sent")
            await writer.write(chunk)
            offset += len(chunk)


def of_json(fields: Fields) -> payload.Payload:
    """Return a JSON body."""
    return payload.BytesPayload(json.dumps(fields).encode(), content_type="application/json")


def of_clip(fields: Fields, clip: Clip) -> aiohttp.MultipartWriter:
    """Return a multipart body."""
    body = aiohttp.MultipartWriter("form-data")
    request = body.append_payload(of_json(fields))
    request.set_content_disposition("form-data", name="request")
    file = body.append_payload(ClipPayload(clip))
    file.set_content_disposition("form-data", name="file", filename=clip.name)
    return body
