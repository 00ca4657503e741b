"""All watches of the operator: which run, which have synced, and which kinds are unavailable.

How it works. The kinds that the operator cannot do without are watched from the start, in each
namespace. Optional kinds, whose API may be installed or removed at any time, are looked for again
and again (`discovery`): one that is served is watched, one that no longer is, is forgotten.

No watch gates another. A namespace is settled once each of its required watches has synced or was
refused by the API server. The store records which kinds are unavailable in which namespace,
and why; decisions leave their objects alone.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from flamingo_common.service import logs
from flamingo_operator.cluster import discovery, kinds, observed
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import KubeClient
from flamingo_operator.cluster.sinks import NodeSink, ObjectSink
from flamingo_operator.cluster.store import Store
from flamingo_operator.cluster.watch import Watch

OnRefusal = Callable[[str, str, bool], None]
"""Receives a kind, a namespace, and whether the API server refuses to list it there."""


@dataclass(slots=True)
class WatchSet:
    """The watches of the objects in `namespaces`, or in all if there are none."""

    kube: KubeClient
    store: Store
    namespaces: Sequence[str]
    on_refusal: OnRefusal
    discovery_interval_s: float
    on_settled: Callable[[str], None]
    """Called with each namespace once it is settled."""
    watches: list[Watch] = field(default_factory=list)
    """The required ones."""
    _optional: dict[Kind, list[Watch]] = field(default_factory=dict)
    _tasks: dict[Kind, "list[asyncio.Task[None]]"] = field(default_factory=dict)
    _settled: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to look for optional kinds at once."""

    @property
    def scopes(self) -> Sequence[str]:
        """The namespaces, or one empty name for all."""
        return self.namespaces or [""]

    @property
    def running(self) -> Iterator[Watch]:
        """All watches that run."""
        yield from self.watches
        for watches in self._optional.values():
            yield from watches

    def is_settled(self, namespace: str) -> bool:
        """Whether everything in a namespace was listed that can be."""
        return ("" if not self.namespaces else namespace) in self._settled

    def problems(self) -> list[str]:
        """Return why nothing can be reconciled in any namespace; nothing if it can in one."""
        found = []
        for scope in self.scopes:
            if scope not in self._settled:
                found.append(f"not everything was listed yet in namespace {scope or '*'}")
                continue
            essential = [one for one in self.watches if one.namespace == scope]
            refused = [
                one for one in essential if one.kind in kinds.ESSENTIAL and not one.is_synced
            ]
            if not refused:
                return []
            found += [f"{one.sink.name}: {one.refusal}" for one in refused]
        return found

    async def run(self) -> None:
        """Watch until cancelled."""
        self.watches = list(self._required())
        for kind in kinds.OPTIONAL_KINDS:
            self._set_unserved(kind)
        tasks = [asyncio.create_task(watch.run()) for watch in self.watches]
        try:
            while True:
                self._wake.clear()
                await self._update_optional()
                interval_s = self.discovery_interval_s * random.uniform(0.9, 1.1)  # noqa: S311
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), interval_s)
        finally:
            for task in (*tasks, *(one for each in self._tasks.values() for one in each)):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _required(self) -> Iterator[Watch]:
        for scope in self.scopes:
            yield self._watch(kinds.POD, scope, kinds.SERVER_SELECTOR, kinds.POD.name)
            yield self._watch(kinds.POD, scope, kinds.ROUTER_SELECTOR, observed.ROUTER_KIND)
            yield self._watch(kinds.POD, scope, kinds.PRELOAD_SELECTOR, observed.PRELOAD_KIND)
            yield self._watch(kinds.POD, scope, kinds.BATCHES_SELECTOR, observed.BATCHES_KIND)
            for kind in kinds.OWNED_KINDS:
                yield self._watch(kind, scope, kinds.OWNED_SELECTOR, kind.name)
        if not self.namespaces:
            sink = NodeSink(self.store)
            yield Watch(self.kube, kinds.NODE, "", "", sink, on_change=self._on_change)

    def _watch(self, kind: Kind, scope: str, selector: str, name: str) -> Watch:
        sink = ObjectSink(self.store, name, scope)
        return Watch(self.kube, kind, scope, selector, sink, on_change=self._on_change)

    def _on_change(self, watch: Watch) -> None:
        """Tell the store and the metrics that a watch has synced, was refused or accepted."""
        name = watch.sink.name
        why = watch.refusal or ("" if watch.is_synced else kinds.NOT_LISTED)
        self.store.set_unavailable(name, watch.namespace, why)
        self.on_refusal(name, watch.namespace, bool(watch.refusal))
        if watch.refusal and watch.kind in self._tasks:
            self._wake.set()  # its API may have been removed
        required = [one for one in self.watches if one.namespace == watch.namespace]
        if watch.namespace not in self._settled and all(one.is_settled for one in required):
            self._settled.add(watch.namespace)
            self.on_settled(watch.namespace)

    async def _update_optional(self) -> None:
        found = await discovery.find_served(self.kube, kinds.OPTIONAL_KINDS)
        for kind, is_served in found.items():
            if is_served and kind not in self._tasks:
                self._start(kind)
            elif not is_served and kind in self._tasks:
                await self._stop(kind)

    def _start(self, kind: Kind) -> None:
        watches = [
            self._watch(kind, scope, kinds.OWNED_SELECTOR, kind.name) for scope in self.scopes
        ]
        for watch in watches:
            self.store.set_unavailable(kind.name, watch.namespace, kinds.NOT_LISTED)
        logs.get().info("kind.served", kind=kind.name)
        self._optional[kind] = watches
        self._tasks[kind] = [asyncio.create_task(watch.run()) for watch in watches]

    async def _stop(self, kind: Kind) -> None:
        tasks = self._tasks.pop(kind)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watch in self._optional.pop(kind):
            self.on_refusal(kind.name, watch.namespace, False)
        logs.get().info("kind.not_served", kind=kind.name)
        self._set_unserved(kind)

    def _set_unserved(self, kind: Kind) -> None:
        self.store.forget(kind.name)
        for scope in self.scopes:
            self.store.set_unavailable(kind.name, scope, kinds.NOT_SERVED)
