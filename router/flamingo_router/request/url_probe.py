"""Probes a clip given by URL for its length, from a few of its bytes, to choose a pod.

It requests the beginning of the file, and its end where that states the length. On any error
the length stays unknown: the pod, which downloads the clip, reports the error to the client.
It follows no redirect, waits for no free slot, and finishes in the background so that the
next request for the same clip knows the length.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from flamingo_common import numerals
from flamingo_common.audio import probe, tail_probe
from flamingo_common.audio.clip_info import ClipInfo
from flamingo_common.service import addresses, content_coding, public_http

WAIT_S = 0.3
"""How long a request waits for a probe: about what a wrong choice costs a short clip."""
PROBE_TIMEOUT_S = 5.0
MAX_PROBES = 8
"""Maximum concurrent probes; a name that resolves slowly occupies a thread."""
MAX_KNOWN = 1024
MAX_BYTES = 2**50
"""Servers can claim any size; this one can still be converted to a float."""


@dataclass(frozen=True, slots=True)
class FileRange:
    """Some bytes of a file, and the file's size."""

    data: bytes
    total_bytes: int
    etag: str | None


@dataclass(slots=True)
class UrlProbe:
    """Probes URLs, within the networks and hosts that are allowed."""

    networks: Sequence[addresses.Network]
    hosts: Sequence[str]
    _known: OrderedDict[str, tuple[str, ClipInfo]] = field(default_factory=OrderedDict)
    """The ETag and the clip of each URL."""
    _tasks: set[asyncio.Task[ClipInfo | None]] = field(default_factory=set)

    async def probe(self, url: str) -> ClipInfo | None:
        """Return the clip at `url`; None if its length is not known in time. Never raises."""
        if len(self._tasks) >= MAX_PROBES:
            return None
        task = asyncio.create_task(self._probe(url))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        done, _ = await asyncio.wait({task}, timeout=WAIT_S)
        return task.result() if done else None

    async def close(self) -> None:
        """Cancel the probes that are running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _probe(self, text: str) -> ClipInfo | None:
        try:
            url = addresses.parse_url(text)
            if addresses.url_error(url, self.hosts):
                return None
            async with (
                asyncio.timeout(PROBE_TIMEOUT_S),
                public_http.create_session(self.networks) as session,
            ):
                return await self._fetch_clip_info(session, url)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def _fetch_clip_info(self, session: aiohttp.ClientSession, url: URL) -> ClipInfo | None:
        etag, known = self._known.get(str(url), ("", None))
        headers = {"If-None-Match": etag} if known else {}
        head = await _fetch_range(session, url, 0, headers)
        if head is None:
            return known
        clip = probe.probe(head.data, total_bytes=head.total_bytes)
        tail_at = tail_probe.tail_offset(head.data, head.total_bytes)
        if tail_at is not None and (tail := await _fetch_range(session, url, tail_at, {})):
            clip = tail_probe.probe_tail(head.data, tail.data, head.total_bytes) or clip
        if clip and head.etag:
            self._remember(str(url), head.etag, clip)
        return clip

    def _remember(self, url: str, etag: str, clip: ClipInfo) -> None:
        self._known[url] = (etag, clip)
        self._known.move_to_end(url)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


async def _fetch_range(
    session: aiohttp.ClientSession, url: URL, at: int, headers: dict[str, str]
) -> FileRange | None:
    """Return the bytes from offset `at`; None when the file still has the ETag in `headers`.

    Raises:
        ValueError: the server does not support ranges, does not state the file's size, or packs
            the file.
    """
    byte_range = {"Range": f"bytes={at}-{at + probe.HEAD_BYTES - 1}"}
    async with session.get(url, headers=byte_range | headers, allow_redirects=False) as response:
        if response.status == 304:  # noqa: PLR2004 - HTTP's Not Modified
            return None
        if response.status != 206:  # noqa: PLR2004 - HTTP's Partial Content
            raise ValueError("the server does not support ranges")
        if content_coding.coding_of(response.headers):
            raise ValueError("the file is packed")
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        total_bytes = numerals.whole(total)
        if total_bytes is None or total_bytes > MAX_BYTES:
            raise ValueError("the file's size is not plausible")
        data = bytearray()
        while len(data) < probe.HEAD_BYTES:
            chunk = await response.content.read(probe.HEAD_BYTES - len(data))
            if not chunk:
                break
            data += chunk
        return FileRange(bytes(data), total_bytes, response.headers.get("ETag"))
