"""Sends one line to the router, and reads its response."""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
from aiohttp import hdrs

from flamingo_batches.checks.clips import BodyTemplate, ClipReference
from flamingo_batches.checks.outcomes import LOST, Answer, Failure
from flamingo_batches.clip_sources import Clip, ClipSources
from flamingo_batches.settings import Settings
from flamingo_common.service.sent_key import SentKey
from flamingo_common.wire import REQUEST_ID_HEADER

PRIORITY = {"x-flamingo-priority": "low"}
CONNECT_TIMEOUT_S = 5.0
READ_BYTES = 2**16
BASE64_BYTES, BASE64_CHARS = 3, 4


class LineSender:
    """Connections to the router."""

    def __init__(self, settings: Settings, clips: ClipSources) -> None:
        self._address = settings.server_url
        self._max_response_bytes = settings.max_response_bytes
        self._clips = clips
        self.key = SentKey(settings.server_key, settings.server_key_file)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(
                total=settings.request_timeout_s, sock_connect=CONNECT_TIMEOUT_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def send(self, endpoint: str, body: BodyTemplate, line_id: str) -> Answer | Failure:
        """Return the response to a line, or why there is none."""
        clips = await self._find(body.clips)
        if isinstance(clips, Failure):
            return clips
        try:
            return await self._post(endpoint, body, clips, line_id)
        except aiohttp.ClientConnectorError as error:
            return Failure("unavailable", f"the router cannot be reached: {error}", is_outage=True)
        except TimeoutError:
            return Failure(LOST, "the router did not answer in time")
        except (aiohttp.ClientError, OSError) as error:
            return Failure(LOST, f"the connection to the router was lost: {_first_line(error)}")

    async def _find(self, references: Sequence[ClipReference]) -> list[Clip] | Failure:
        found = []
        for each in references:
            name = each.file_id or each.url
            try:
                found.append(await self._clips.find(each))
            except (FileNotFoundError, ValueError):  # a path with `..` is invalid
                return Failure("clip_not_found", f"the clip {name} does not exist", is_final=True)
            except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
                message = f"the clip {name} could not be read: {_first_line(error)}"
                return Failure("clip_unavailable", message)
        return found

    async def _post(
        self, endpoint: str, body: BodyTemplate, clips: Sequence[Clip], line_id: str
    ) -> Answer | Failure:
        async with self._session.post(
            self._address + endpoint,
            data=_stream(body, clips) if clips else body.pieces[0],
            headers=self._headers(body, clips, line_id),
            allow_redirects=False,
        ) as response:
            received = bytearray()
            async for chunk in response.content.iter_chunked(READ_BYTES):
                received += chunk
                if len(received) > self._max_response_bytes:
                    return _too_large(self._max_response_bytes)
            return Answer(
                response.status,
                bytes(received),
                response.headers.get(REQUEST_ID_HEADER, ""),
                response.headers.get(hdrs.RETRY_AFTER),
            )

    def _headers(
        self, body: BodyTemplate, clips: Sequence[Clip], line_id: str
    ) -> Mapping[str, str]:
        num_bytes = sum(map(len, body.pieces)) + sum(_num_base64(each.num_bytes) for each in clips)
        return {
            hdrs.CONTENT_TYPE: "application/json",
            hdrs.CONTENT_LENGTH: str(num_bytes),
            REQUEST_ID_HEADER: line_id,
            **PRIORITY,
            **self.key.headers,
        }


def _too_large(limit: int) -> Failure:
    return Failure(
        "response_too_large",
        f"the response exceeds {limit} bytes; for embeddings set pooling to 'mean', or"
        " encoding_format to 'base64'",
        is_final=True,
    )


async def _stream(body: BodyTemplate, clips: Sequence[Clip]) -> AsyncIterator[bytes]:
    """Yield a body with its clips in base64, which are read as they are sent."""
    for number, piece in enumerate(body.pieces):
        yield piece
        if number < len(clips):
            async for part in _base64(clips[number].read()):
                yield part


async def _base64(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for part in parts:
        data = rest + part
        whole = len(data) // BASE64_BYTES * BASE64_BYTES
        rest = data[whole:]
        yield base64.b64encode(data[:whole])
    yield base64.b64encode(rest)


def _num_base64(num_bytes: int) -> int:
    return -(-num_bytes // BASE64_BYTES) * BASE64_CHARS


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
