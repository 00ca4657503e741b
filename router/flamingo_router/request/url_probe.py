"""How long the clip at a URL is, from a few of its bytes. For the choice of a pod only.

It asks for the beginning, and for the end where that knows the length. Whatever goes
wrong means that nothing is known: the pod, which fetches the clip, tells the client. It
follows no redirects, waits for no free slot, and goes on over its time so that the next
request for the same clip knows.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from flamingo_common.audio import probe, tail_probe
from flamingo_common.audio.clip_info import ClipInfo
from flamingo_common.service import addresses, public_http

WAIT_S = 0.3
"""What a request may wait for it: about what a wrong choice costs a short clip."""
GIVE_UP_S = 5.0
MAX_PROBES = 8
"""At once; a name that takes long to look up keeps a thread."""
MAX_KEPT = 1024
MAX_BYTES = 2**50
"""A server may say anything; this still divides."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file, and how many it has in all."""

    body: bytes
    total_bytes: int
    etag: str | None


@dataclass(slots=True)
class UrlProbe:
    """Where it may ask, and what it was told."""

    networks: Sequence[addresses.Network] = ()
    hosts: Sequence[str] = ()
    _kept: OrderedDict[str, tuple[str, ClipInfo]] = field(default_factory=OrderedDict)
    """By URL: the ETag, and the clip that had it."""
    _tasks: set[asyncio.Task[ClipInfo | None]] = field(default_factory=set)

    async def clip(self, url: str) -> ClipInfo | None:
        """Return the clip at `url`; None if nothing is known of it in time. Never raises."""
        if len(self._tasks) >= MAX_PROBES:
            return None
        task = asyncio.create_task(self._clip(url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        return task.result() if done else None

    async def close(self) -> None:
        """End what still asks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _clip(self, text: str) -> ClipInfo | None:
        try:
            url = URL(text)
            if addresses.url_error(url, self.hosts):
                return None
            async with (
                asyncio.timeout(GIVE_UP_S),
                public_http.create_session(self.networks) as session,
            ):
                return await self._asked(session, url)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def _asked(self, session: aiohttp.ClientSession, url: URL) -> ClipInfo | None:
        etag, known = self._kept.get(str(url), ("", None))
        told = {"If-None-Match": etag} if known else {}
        first = await _part(session, url, 0, told)
        if first is None:
            return known
        clip = probe.probe(first.body, total_bytes=first.total_bytes)
        end_at = tail_probe.tail_offset(first.body, first.total_bytes)
        if end_at is not None and (last := await _part(session, url, end_at, {})):
            clip = tail_probe.probe_tail(first.body, last.body, first.total_bytes) or clip
        if clip and first.etag:
            self._keep(str(url), first.etag, clip)
        return clip

    def _keep(self, url: str, etag: str, clip: ClipInfo) -> None:
        self._kept[url] = (etag, clip)
        self._kept.move_to_end(url)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)


async def _part(
    session: aiohttp.ClientSession, url: URL, at: int, headers: dict[str, str]
) -> Part | None:
    """Return the bytes from `at`; None when they are still those that the ETag names.

    Raises:
        ValueError: the server does not give parts, or does not say of how much.
    """
    wanted = {"Range": f"bytes={at}-{at + probe.HEAD_BYTES - 1}"}
    async with session.get(url, headers=wanted | headers, allow_redirects=False) as answer:
        if answer.status == 304:  # noqa: PLR2004 - HTTP's Not Modified
            return None
        if answer.status != 206:  # noqa: PLR2004 - HTTP's Partial Content
            raise ValueError("no part of a file")
        total_bytes = int(answer.headers.get("Content-Range", "").rpartition("/")[2])
        if total_bytes > MAX_BYTES:
            raise ValueError("no such file")
        body = bytearray()
        while len(body) < probe.HEAD_BYTES:
            chunk = await answer.content.read(probe.HEAD_BYTES - len(body))
            if not chunk:
                break
            body += chunk
        return Part(bytes(body), total_bytes, answer.headers.get("ETag"))
