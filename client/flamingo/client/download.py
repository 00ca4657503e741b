"""Download a clip from a URL, on the client's side.

Presigned URLs and hosts that only the caller's network can reach work, and the fleet needs
no outbound access.
"""

import asyncio
import os
from typing import BinaryIO

import aiohttp

from flamingo.client import address
from flamingo_common.errors import MediaFetchFailed, RequestTooLarge
from flamingo_common.wire import MAX_BODY_BYTES

CHUNK_BYTES = 2**18


async def download_url(session: aiohttp.ClientSession, url: str, file: BinaryIO) -> None:
    """Write the contents of `url` to `file`.

    Raises:
        MediaFetchFailed: the download failed; the message omits the query string.
        RequestTooLarge: the file exceeds `MAX_BODY_BYTES`.
    """
    try:
        async with session.get(url) as response:
            if response.status != 200:  # noqa: PLR2004 - only a 200 has the clip as its body
                raise MediaFetchFailed(f"{address.redact_url(url)} returned HTTP {response.status}")
            await _save(response, file)
    except (aiohttp.ClientError, TimeoutError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number).lower() if number else type(error).__name__
        message = f"cannot download {address.redact_url(url)}: {reason}"
        raise MediaFetchFailed(message) from None


async def _save(response: aiohttp.ClientResponse, file: BinaryIO) -> None:
    num_bytes = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(
                f"{address.redact_url(str(response.url))} exceeds the limit of"
                f" {MAX_BODY_BYTES} bytes"
            )
        await asyncio.to_thread(file.write, chunk)
