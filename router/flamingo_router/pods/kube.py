"""The part of the Kubernetes API that the router reads: list a resource, and watch it.

A watch on which nothing arrives for too long counts as failed: the server sends a bookmark
each minute. The token file is read for every call, since the kubelet rotates it.
"""

import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from flamingo_common.service import key_text

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LIST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
PAGE_SIZE = 500
GONE = 410
MAX_LINE_BYTES = 16 * 2**20
"""A slice of 1,000 endpoints takes half a megabyte."""


class VersionExpired(Exception):
    """HTTP 410: the resourceVersion is too old, so the objects must be listed again."""


class ApiError(Exception):
    """The API server returned an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status}: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """The API server's address, and the credentials for it."""

    url: str
    token_file: Path
    ca_file: Path

    @classmethod
    def from_settings(cls, url: str, token_file: str, ca_file: str) -> "Access":
        """Return the access from settings, with the service account's defaults for empty ones."""
        return cls(
            url or _in_cluster(),
            Path(token_file or SERVICE_ACCOUNT / "token"),
            Path(ca_file or SERVICE_ACCOUNT / "ca.crt"),
        )

    def headers(self) -> dict[str, str]:
        """Return the headers of a call, with authorization where there is a token file."""
        # The API server packs long lists otherwise, and the router's session unpacks nothing.
        headers = {"Accept-Encoding": "identity"}
        if self.token_file.is_file():
            token = key_text.decode(self.token_file.read_bytes())
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def tls(self) -> ssl.SSLContext | bool:
        """Return a context that trusts the CA bundle; without one True, for the system's CAs."""
        if self.ca_file.is_file():
            return ssl.create_default_context(cafile=self.ca_file)
        return True


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch."""

    kind: str
    """`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`."""
    manifest: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The resourceVersion from which a watch can resume after this event."""
        return str(self.manifest["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Resource:
    """The objects at one path that match a label selector."""

    access: Access
    session: aiohttp.ClientSession
    path: str
    selector: str

    async def list_all(self) -> tuple[list[Mapping[str, Any]], str]:
        """Return all objects, and the resourceVersion to watch from.

        Raises:
            VersionExpired: the collection changed too much between two pages.
            ApiError: the server returned an error.
        """
        items: list[Mapping[str, Any]] = []
        query = {"limit": str(PAGE_SIZE)}
        while True:
            timeout = aiohttp.ClientTimeout(total=LIST_TIMEOUT_S)
            async with self._get(query, timeout) as response:
                await _raise_for_status(response)
                page = await response.json()
            items += page["items"] or []
            if not page["metadata"].get("continue"):
                return items, str(page["metadata"]["resourceVersion"])
            query["continue"] = page["metadata"]["continue"]

    async def watch(
        self, version: str, *, watch_s: float, silence_s: float
    ) -> AsyncIterator[Event]:
        """Yield the events after `version`, until the server ends the watch after `watch_s`.

        Raises:
            VersionExpired: `version` is too old.
            ApiError: the server returned an error.
            TimeoutError: nothing arrived for `silence_s`.
        """
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(int(watch_s)),
        }
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s
        )
        async with self._get(query, timeout) as response:
            await _raise_for_status(response)
            async for line in _lines(response.content):
                yield _parse_event(line)

    def _get(
        self, query: Mapping[str, str], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.client._RequestContextManager:
        return self.session.get(
            self.access.url + self.path,
            params={"labelSelector": self.selector, **query},
            headers=self.access.headers(),
            ssl=self.access.tls(),
            timeout=timeout,
        )


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status == GONE:
        raise VersionExpired
    if not response.ok:
        text = await response.text(errors="replace")
        raise ApiError(response.status, text[:200] or str(response.reason))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError(f"a watch event exceeds the limit of {MAX_LINE_BYTES} bytes")
        for line in lines:
            yield line


def _parse_event(line: bytes) -> Event:
    """Return the event in one line of a watch.

    Raises:
        VersionExpired, ApiError: it is an `ERROR` event, which ends the watch.
    """
    parsed = json.loads(line)
    event = Event(parsed["type"], parsed["object"])
    if event.kind == "ERROR":
        code = int(event.manifest.get("code", 500))
        if code == GONE:
            raise VersionExpired
        raise ApiError(code, str(event.manifest.get("message", "")))
    return event


def _in_cluster() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
