"""Reads the demand from router pods: `GET /fleet`.

A router that does not respond in time is left out; the caller decides what that means.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import aiohttp

from flamingo_operator.cluster.observed import ControlledPod
from flamingo_operator.manifests.common import PORT

TIMEOUT_S = 2.0
MAX_CONCURRENT = 64
"""Maximum number of concurrent requests, for all deployments together."""
MAX_BODY_BYTES = 32 << 20
"""A router of a thousand pods with full caches reports 20 MB."""


class RouterLoadClient:
    """An HTTP session to router pods. Close it with `aclose`."""

    def __init__(self, key: str | None = None) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
            auto_decompress=False,
        )
        self._limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def read(self, routers: Iterable[ControlledPod]) -> dict[str, dict[str, Any]]:
        """Return the response body of each router that responds, by its pod's name."""
        polled = [one for one in routers if one.ip]
        bodies = await asyncio.gather(*(self._get(one) for one in polled))
        return {
            one.ref.name: body for one, body in zip(polled, bodies, strict=True) if body is not None
        }

    async def _get(self, router: ControlledPod) -> dict[str, Any] | None:
        host = f"[{router.ip}]" if ":" in router.ip else router.ip
        async with self._limit:
            try:
                async with self._session.get(f"http://{host}:{PORT}/fleet") as response:
                    if response.status != 200:  # noqa: PLR2004
                        return None
                    text = await _read_limited(response)
                body = json.loads(text)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                return None
        return body if isinstance(body, dict) else None


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    text = bytearray()
    async for part in response.content.iter_any():
        text += part
        if len(text) > MAX_BODY_BYTES:
            raise ValueError(f"the response is larger than {MAX_BODY_BYTES} bytes")
    return bytes(text)
