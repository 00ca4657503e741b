"""The Kubernetes API, as much of it as the router reads: list, and watch from there.

A watch that says nothing for too long is taken for dead: the server sends a bookmark
each minute. The token is read anew for each call, since the kubelet replaces it.
"""

import json
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LIST_S = 30.0
PAGE = 500
GONE = 410
MAX_LINE_BYTES = 16 * 2**20
"""A slice of 1,000 endpoints has half a megabyte."""


class Gone(Exception):
    """The version to watch from is too old: list again."""


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"HTTP {status}: {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API is, and who we are there."""

    url: str
    token_file: Path
    ca_file: Path

    @classmethod
    def of(cls, url: str, token_file: str, ca_file: str) -> "Access":
        """Return what was given; a pod's own for what was not."""
        return cls(
            url or _in_cluster(),
            Path(token_file or MOUNT / "token"),
            Path(ca_file or MOUNT / "ca.crt"),
        )

    def headers(self) -> dict[str, str]:
        """Return the headers that say who asks; nothing where there is no token."""
        if not self.token_file.is_file():
            return {}
        return {"Authorization": f"Bearer {self.token_file.read_text().strip()}"}

    def tls(self) -> ssl.SSLContext | bool:
        """Return how the server is known: by the cluster's certificate, or the system's."""
        if self.ca_file.is_file():
            return ssl.create_default_context(cafile=self.ca_file)
        return True


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch."""

    kind: str
    thing: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Where to go on from."""
        return str(self.thing["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of thing at one path, and which of them."""

    access: Access
    session: aiohttp.ClientSession
    path: str
    selector: str

    async def listed(self) -> tuple[list[Mapping[str, Any]], str]:
        """Return all there are, and the version to watch from.

        Raises:
            Gone: it changed too much between two pages.
            Refused: the server says no.
        """
        items: list[Mapping[str, Any]] = []
        more = {"limit": str(PAGE)}
        while True:
            patience = aiohttp.ClientTimeout(total=LIST_S)
            async with self._get(more, patience) as answer:
                await _check(answer)
                page = await answer.json()
            items += page["items"] or []
            if not page["metadata"].get("continue"):
                return items, str(page["metadata"]["resourceVersion"])
            more["continue"] = page["metadata"]["continue"]

    async def watched(
        self, version: str, *, watch_s: float, silence_s: float
    ) -> AsyncIterator[Event]:
        """Yield what changes after `version`, until the server ends it after `watch_s`.

        Raises:
            Gone: `version` is too old.
            Refused: the server says no.
            TimeoutError: nothing came for `silence_s`.
        """
        more = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(int(watch_s)),
        }
        patience = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence_s)
        async with self._get(more, patience) as answer:
            await _check(answer)
            async for line in _lines(answer.content):
                yield _event(line)

    def _get(
        self, more: Mapping[str, str], patience: aiohttp.ClientTimeout
    ) -> aiohttp.client._RequestContextManager:
        return self.session.get(
            self.access.url + self.path,
            params={"labelSelector": self.selector, **more},
            headers=self.access.headers(),
            ssl=self.access.tls(),
            timeout=patience,
        )


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status == GONE:
        raise Gone
    if not answer.ok:
        text = await answer.text(errors="replace")
        raise Refused(answer.status, text[:200] or str(answer.reason))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise ValueError("a line of a watch does not end")
        for line in lines:
            yield line


def _event(line: bytes) -> Event:
    """Return what a line says.

    Raises:
        Gone, Refused: it says that the watch is over.
    """
    told = json.loads(line)
    event = Event(told["type"], told["object"])
    if event.kind == "ERROR":
        code = int(event.thing.get("code", 500))
        if code == GONE:
            raise Gone
        raise Refused(code, str(event.thing.get("message", "")))
    return event


def _in_cluster() -> str:
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
