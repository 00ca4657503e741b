"""A clip's URL → its bytes, fetched from where the client stands.

So presigned URLs and addresses that only the caller's network reaches work, and
the fleet fetches nothing.
"""

import asyncio
import os
from typing import BinaryIO

import aiohttp

from flamingo.client import address
from flamingo_common.errors import MediaFetchFailed, RequestTooLarge
from flamingo_common.wire import MAX_BODY_BYTES

CHUNK_BYTES = 2**18


async def fetch(session: aiohttp.ClientSession, url: str, file: BinaryIO) -> None:
    """Write what `url` holds to `file`.

    Raises:
        MediaFetchFailed: it cannot be fetched; the message has no query string.
        RequestTooLarge: it is over `MAX_BODY_BYTES`.
    """
    try:
        async with session.get(url) as response:
            if response.status != 200:  # noqa: PLR2004 - any other holds no clip
                raise MediaFetchFailed(f"{address.shown(url)} answered {response.status}")
            await _save(response, file)
    except (aiohttp.ClientError, TimeoutError) as error:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number).lower() if number else type(error).__name__
        told = f"{address.shown(url)} cannot be fetched: {why}"
        raise MediaFetchFailed(told) from None


async def _save(response: aiohttp.ClientResponse, file: BinaryIO) -> None:
    num_bytes = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(
                f"{address.shown(str(response.url))} is over {MAX_BODY_BYTES} bytes"
            )
        await asyncio.to_thread(file.write, chunk)
