"""Forwards `/v1/files` and `/v1/batches` to the service of batches, unchanged both ways."""

from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from yarl import URL

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_router.relay import relayed_headers

RETRY_AFTER_S = 2.0
DISABLED = (
    "this server has no files and batches; send requests one by one, or ask its operator to run"
    " `flamingo batches` and to set --batches-url"
)


class BatchesForwarder:
    """Connections to the service of batches, if there is one."""

    def __init__(self, address: str, *, connect_timeout_s: float) -> None:
        """Prepare connections to `address`; "": there is no such service."""
        self._address = address
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Return the service's response, sent to its end.

        Raises:
            NotFound: there is no service of batches.
            Unavailable: it cannot be reached.
            UpstreamLost: it closed the connection before it responded.
        """
        if not self._address:
            raise errors.NotFound(DISABLED)
        async with await self._open(request) as upstream:
            response = web.StreamResponse(
                status=upstream.status,
                reason=upstream.reason,
                headers=relayed_headers.to_client(upstream.headers),
            )
            await response.prepare(request)
            while chunk := await _next_chunk(request, upstream):
                await response.write(chunk)
            return response

    async def _open(self, request: web.Request) -> aiohttp.ClientResponse:
        body = _body(request) if request.can_read_body else None
        try:
            return await self._session.request(
                request.method,
                URL(self._address + request.rel_url.raw_path_qs, encoded=True),
                headers=relayed_headers.to_upstream(request),
                data=body,
                skip_auto_headers=relayed_headers.NO_AUTO_HEADERS,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise errors.Unavailable(
                "the service of files and batches cannot be reached; retry",
                retry_after_s=RETRY_AFTER_S,
            ) from None
        except (aiohttp.ClientError, OSError):
            raise errors.UpstreamLost(
                "the service of files and batches closed the connection before it responded"
            ) from None


async def _next_chunk(request: web.Request, upstream: aiohttp.ClientResponse) -> bytes:
    try:
        return await upstream.content.readany()
    except (aiohttp.ClientError, OSError):
        request[http.LOG_FIELDS]["error"] = errors.UpstreamLost.code
        if request.transport is not None:  # so that the client notices
            request.transport.abort()
        return b""


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    while chunk := await request.content.readany():
        yield chunk
