"""List a kind, then follow it, for ever.

kopf follows the resources; their many children are followed here, because kopf
keeps, queues and copies whole objects: 10,000 pods cost it 350 MB.

A list comes in pages, so that it is never in memory as a whole. A watch ends
every few minutes and goes on where it was; when the API server no longer knows
that place (410), all is listed anew.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flamingo_common.service import logs
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import ApiError, KubeClient

PAGE = 250
WATCH_S = 300
SILENCE_S = 90.0
"""Bookmarks come about once a minute, as a rule; a watch that says nothing may be broken."""
GONE = 410
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 30.0

Object = Mapping[str, Any]


class Sink(Protocol):
    """Who is told what a watch sees."""

    def seen(self, raw: Object) -> str:
        """Take an object that is there; return its uid."""

    def gone(self, raw: Object) -> None:
        """Take an object that is gone."""

    def listed(self, uids: set[str], version: int) -> None:
        """Take a whole list."""


@dataclass(slots=True)
class Watch:
    """One kind, in one namespace or in all."""

    kube: KubeClient
    kind: Kind
    namespace: str
    selector: str
    sink: Sink
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    last_event_s: float = 0.0
    """Monotonic."""
    version: str = ""
    """Where to go on; empty when all has to be listed."""
    _num_failures: int = 0
    clock: Callable[[], float] = time.monotonic

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                if not self.version:
                    self.version = await self._list()
                await self._follow()
            except ApiError as error:
                if error.status == GONE:
                    self.version = ""
                # Otherwise where we were is still right: ten thousand objects are not listed
                # for a connection that broke.
                wait_s = min(MAX_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._num_failures, 10))
                self._num_failures += 1
                logs.get().warning("watch.failed", kind=self.kind.name, error=error.message)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    async def _list(self) -> str:
        """List everything; return the version from which to follow."""
        uids: set[str] = set()
        query = {"limit": str(PAGE), "labelSelector": self.selector}
        while True:
            path = self.kind.path(self.namespace)
            version, more = self._taken(await self.kube.get(path, query), uids)
            if not more:
                break
            query["continue"] = more
            # A long list must not keep reconciling from its turn.
            await asyncio.sleep(0)
        self.sink.listed(uids, int(version))
        self.last_event_s = self.clock()
        self.synced.set()
        return version

    def _taken(self, page: dict[str, Any], uids: set[str]) -> tuple[str, str]:
        """Take a page, which is gone before the next is asked for; return its version and more."""
        uids.update(self.sink.seen(raw) for raw in page["items"])
        metadata = page["metadata"]
        return metadata["resourceVersion"], metadata.get("continue", "")

    async def _follow(self) -> None:
        while True:
            query = {
                "watch": "1",
                "allowWatchBookmarks": "true",
                "resourceVersion": self.version,
                "labelSelector": self.selector,
                "timeoutSeconds": str(WATCH_S),
            }
            path = self.kind.path(self.namespace)
            async with self.kube.lines(path, query, silence_s=SILENCE_S) as lines:
                self._num_failures = 0
                async for line in lines:
                    self.version = self._told(json.loads(line))

    def _told(self, event: Mapping[str, Any]) -> str:
        """Take one event; return the version that it brings."""
        self.last_event_s = self.clock()
        raw = event["object"]
        match event["type"]:
            case "ADDED" | "MODIFIED":
                self.sink.seen(raw)
            case "DELETED":
                self.sink.gone(raw)
            case "ERROR":
                raise ApiError(raw.get("code", 0), raw.get("message", "the watch failed"))
        return str(raw["metadata"]["resourceVersion"])
