"""List and watch one kind of object, until cancelled.

kopf watches the FlamingoDeployments; the many objects they own are watched here,
because kopf keeps, queues and copies whole objects: 10,000 pods cost it 350 MB.

A list is read in pages, so that it is never in memory as a whole. A watch ends
every few minutes and resumes from the last resource version; when the API server
no longer has that version (410 Gone), everything is listed again. What the API server
refuses to list (no permission, or no such kind) is retried without end.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flamingo_common.service import logs
from flamingo_common.service.backoff import backoff_s
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import NOT_FOUND, ApiError, KubeClient

PAGE = 250
WATCH_TIMEOUT_S = 300
READ_TIMEOUT_S = 90.0
"""Bookmarks arrive about once a minute, so a watch that sends nothing may be broken."""
GONE = 410
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0

Object = Mapping[str, Any]


class Sink(Protocol):
    """Receives the objects of a watch."""

    @property
    def name(self) -> str:
        """What the objects are called in the store."""

    def put(self, raw: Object) -> str:
        """Add or update an object; return its uid."""

    def delete(self, raw: Object) -> None:
        """Remove an object that was deleted."""

    def retain(self, uids: set[str], version: int) -> None:
        """Remove what a complete list as of `version` does not contain."""


def _ignore(watch: "Watch") -> None:
    """Do nothing when a watch synced or was refused."""
    del watch


@dataclass(slots=True)
class Watch:
    """The list and watch of one kind, in one namespace or (empty) in all."""

    kube: KubeClient
    kind: Kind
    namespace: str
    selector: str
    sink: Sink
    on_change: Callable[["Watch"], None] = _ignore
    """Called when `is_synced` or `refusal` has changed."""
    is_synced: bool = False
    """Whether everything was listed at least once."""
    refusal: str = ""
    """Why the API server does not let it be listed or watched; empty if it does."""
    last_event_s: float = 0.0
    """Monotonic time."""
    version: str = ""
    """Resource version to watch from; empty when everything has to be listed."""
    _num_failures: int = 0
    clock: Callable[[], float] = time.monotonic

    @property
    def is_settled(self) -> bool:
        """Whether it has synced, or may never do so."""
        return self.is_synced or bool(self.refusal)

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if not self.version:
                    self.version = await self._list()
                await self._follow()
            except ApiError as error:
                if error.status == GONE or error.is_refusal:
                    self.version = ""
                # Otherwise the version is still good: ten thousand objects are not listed again
                # for a broken connection.
                self._num_failures += 1
                wait_s = backoff_s(self._num_failures, first_s=FIRST_RETRY_S, max_s=MAX_RETRY_S)
                self._report(error)
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def _report(self, error: ApiError) -> None:
        """Log why it failed; a refusal, which may last for days, only once."""
        if not error.is_refusal:
            logs.get().warning("watch.failed", kind=self.kind.name, error=error.message)
        elif error.message != self.refusal:
            logs.get().error(
                "watch.refused",
                kind=self.kind.name,
                namespace=self.namespace,
                error=error.message,
                message=_consequence(error),
            )
            self.refusal = error.message
            self.on_change(self)

    def _accepted(self) -> None:
        if self.refusal:
            logs.get().info("watch.accepted", kind=self.kind.name, namespace=self.namespace)
            self.refusal = ""
            self.on_change(self)

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
        if not self.is_synced:
            self.is_synced = True
            self.on_change(self)
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
                self._accepted()
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


def _consequence(error: ApiError) -> str:
    if error.status == NOT_FOUND:
        return "its objects are left alone until the API server serves this kind again"
    return (
        "its objects are left alone; grant list and watch, or remove the namespace from"
        " --namespaces"
    )
