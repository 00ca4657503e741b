"""List and watch one kind of object, until cancelled.

kopf watches the FlamingoDeployments; the many objects they own are watched here,
because kopf keeps, queues and copies whole objects: 10,000 pods cost it 350 MB.

A list is read in pages, so that it is never in memory as a whole. A watch ends
every few minutes and resumes from the last resource version; when the API server
no longer has that version (410 Gone), everything is listed again.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flamingo_common.service import logs
from flamingo_common.service.backoff import backoff_s
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import ApiError, KubeClient

PAGE = 250
WATCH_TIMEOUT_S = 300
READ_TIMEOUT_S = 90.0
"""Bookmarks arrive about once a minute, so a watch that sends nothing may be broken."""
GONE = 410
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0

Object = Mapping[str, Any]


class Sink(Protocol):
    """Receives the objects of a watch."""

    def put(self, raw: Object) -> str:
        """Add or update an object; return its uid."""

    def delete(self, raw: Object) -> None:
        """Remove an object that was deleted."""

    def retain(self, uids: set[str], version: int) -> None:
        """Remove what a complete list as of `version` does not contain."""


@dataclass(slots=True)
class Watch:
    """The list and watch of one kind, in one namespace or (empty) in all."""

    kube: KubeClient
    kind: Kind
    namespace: str
    selector: str
    sink: Sink
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    last_event_s: float = 0.0
    """Monotonic time."""
    version: str = ""
    """Resource version to watch from; empty when everything has to be listed."""
    _num_failures: int = 0
    clock: Callable[[], float] = time.monotonic

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if not self.version:
                    self.version = await self._list()
                await self._follow()
            except ApiError as error:
                if error.status == GONE:
                    self.version = ""
                # Otherwise the version is still good: ten thousand objects are not listed again
                # for a broken connection.
                self._num_failures += 1
                wait_s = backoff_s(self._num_failures, first_s=FIRST_RETRY_S, max_s=MAX_RETRY_S)
                logs.get().warning("watch.failed", kind=self.kind.name, error=error.message)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _list(self) -> str:
        """List everything; return the version from which to watch."""
        uids: set[str] = set()
        query = {"limit": str(PAGE), "labelSelector": self.selector}
        while True:
            path = self.kind.path(self.namespace)
            version, more = self._add_page(await self.kube.get(path, query), uids)
            if not more:
                break
            query["continue"] = more
            # A long list must not block the reconcilers.
            await asyncio.sleep(0)
        self.sink.retain(uids, int(version))
        self.last_event_s = self.clock()
        self.synced.set()
        return version

    def _add_page(self, page: dict[str, Any], uids: set[str]) -> tuple[str, str]:
        """Add a page, freed before the next is requested; return its version and `continue`."""
        uids.update(self.sink.put(raw) for raw in page["items"])
        metadata = page["metadata"]
        return metadata["resourceVersion"], metadata.get("continue", "")

    async def _follow(self) -> None:
        while True:
            query = {
                "watch": "1",
                "allowWatchBookmarks": "true",
                "resourceVersion": self.version,
                "labelSelector": self.selector,
                "timeoutSeconds": str(WATCH_TIMEOUT_S),
            }
            path = self.kind.path(self.namespace)
            async with self.kube.lines(path, query, read_timeout_s=READ_TIMEOUT_S) as lines:
                self._num_failures = 0
                async for line in lines:
                    self.version = self._handle_event(json.loads(line))

    def _handle_event(self, event: Mapping[str, Any]) -> str:
        """Pass one event to the sink; return its resource version."""
        self.last_event_s = self.clock()
        raw = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self.sink.put(raw)
            case "DELETED":
                self.sink.delete(raw)
            case "ERROR":
                raise ApiError(raw.get("code", 0), raw.get("message", "watch failed"))
        return str(raw["metadata"]["resourceVersion"])
