"""Download a clip from a URL, on the client's side.

Presigned URLs and hosts that only the caller's network can reach work, and the fleet needs
no outbound access. The client requests any URL that it is given, also one of a private network:
a program that takes URLs from others has to check them.
"""

import asyncio
from typing import BinaryIO
from urllib.parse import urljoin

import aiohttp

from flamingo.client import address, blocking, certificates
from flamingo.client.sessions import Sessions
from flamingo_common.errors import BadRequest, MediaFetchFailed, RequestTooLarge
from flamingo_common.service import fetch_errors, printable, urls
from flamingo_common.wire import MAX_BODY_BYTES

CHUNK_BYTES = 2**18
MAX_REDIRECTS = 10
DOWNLOAD_TIMEOUT_S = 3600.0
"""For the whole download: a server could send a byte every minute."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def download_url(sessions: Sessions, url: str, file: BinaryIO) -> None:
    """Write the contents of `url` to `file`.

    Raises:
        MediaFetchFailed: the download failed; the message omits the query string.
        RequestTooLarge: the file exceeds `MAX_BODY_BYTES`.
    """
    shown = printable.escape_line(urls.redact_url(url))
    try:
        async with asyncio.timeout(DOWNLOAD_TIMEOUT_S) as deadline:
            response = await _follow(sessions, url)
            async with response:
                if response.status != 200:  # noqa: PLR2004 - only a 200 has the clip as its body
                    raise MediaFetchFailed(f"{shown} returned HTTP {response.status}")
                await _save(response, file, shown)
    except (aiohttp.ClientError, TimeoutError, BadRequest, ValueError) as error:
        if isinstance(error, MediaFetchFailed | RequestTooLarge):
            raise
        reason = _reason(error, is_late=deadline.expired())
        raise MediaFetchFailed(f"cannot download {shown}: {reason}") from None


async def _follow(sessions: Sessions, url: str) -> aiohttp.ClientResponse:
    """Return the first response that is not a redirect; each hop has its own proxy."""
    for _ in range(MAX_REDIRECTS + 1):
        response = await sessions.request("GET", url, headers={"Accept-Encoding": "identity"})
        location = response.headers.get("Location")
        if response.status not in REDIRECTS or not location:
            return response
        response.close()
        url = urljoin(str(response.url), location)
        if not address.is_url(url):
            raise BadRequest("it redirects to a URL that is neither http nor https")
    raise BadRequest(f"it redirects more than {MAX_REDIRECTS} times")


async def _save(response: aiohttp.ClientResponse, file: BinaryIO, shown: str) -> None:
    too_large = RequestTooLarge(f"{shown} exceeds the limit of {MAX_BODY_BYTES} bytes")
    if (response.content_length or 0) > MAX_BODY_BYTES:
        raise too_large
    num_bytes = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        num_bytes += len(chunk)
        if num_bytes > MAX_BODY_BYTES:
            raise too_large
        await blocking.run_to_end(file.write, chunk)


def _reason(error: Exception, *, is_late: bool) -> str:
    match error:
        case BadRequest():
            return error.message
        case aiohttp.ClientProxyConnectionError():
            return f"of the proxy: {fetch_errors.explain(error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered HTTP {error.status} {error.message}".rstrip()
        case TimeoutError() if is_late:
            return f"it was not complete after {DOWNLOAD_TIMEOUT_S:g} s"
        case ValueError() if not isinstance(error, aiohttp.ClientError | UnicodeError):
            return "it is not a valid URL"
        case _:
            advice = f"; {certificates.HOW_TO_TRUST}" if certificates.is_untrusted(error) else ""
            return fetch_errors.explain(error) + advice
