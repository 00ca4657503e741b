"""Ask routers what they see of the demand: `GET /fleet`.

A router that does not answer at once is left out: who decides knows what that means.
"""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import aiohttp

from flamingo_operator.cluster.observed import ObservedRouter
from flamingo_operator.manifests.common import PORT

ANSWER_S = 2.0
MAX_ASKED = 64
"""At once, of all deployments."""
MAX_BYTES = 32 << 20
"""A thousand pods with full caches tell 20 MB."""


class RoutersLoad:
    """A session to routers. `aclose` it in the end."""

    def __init__(self, key: str | None = None) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        self._room = asyncio.Semaphore(MAX_ASKED)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def read(self, routers: Iterable[ObservedRouter]) -> dict[str, dict[str, Any]]:
        """Return what each router that answers says, by its pod's name."""
        asked = [one for one in routers if one.ip]
        answers = await asyncio.gather(*(self._ask(one) for one in asked))
        return {
            one.ref.name: body for one, body in zip(asked, answers, strict=True) if body is not None
        }

    async def _ask(self, router: ObservedRouter) -> dict[str, Any] | None:
        host = f"[{router.ip}]" if ":" in router.ip else router.ip
        async with self._room:
            try:
                async with self._session.get(f"http://{host}:{PORT}/fleet") as response:
                    if response.status != 200:  # noqa: PLR2004
                        return None
                    text = await _bounded(response)
                body = json.loads(text)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                return None
        return body if isinstance(body, dict) else None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    text = bytearray()
    async for part in response.content.iter_any():
        text += part
        if len(text) > MAX_BYTES:
            raise ValueError("more than any router has to say")
    return bytes(text)
