"""The watches that keep a store up to date, and the sinks through which they do."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_operator.cluster import kinds, observed
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import KubeClient
from flamingo_operator.cluster.store import Store
from flamingo_operator.cluster.watch import Watch

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectSink:
    """A sink for objects that the operator created."""

    store: Store
    kind: str
    namespace: str

    def put(self, raw: Object) -> str:
        """Add or update an object; return its uid."""
        self.store.put(raw, self.kind)
        return str(raw["metadata"]["uid"])

    def delete(self, raw: Object) -> None:
        """Remove an object that was deleted."""
        self.store.drop(observed.parse_ref(raw, self.kind))

    def retain(self, uids: set[str], version: int) -> None:
        """Remove what a complete list does not contain."""
        self.store.retain(self.kind, self.namespace, uids, version)


@dataclass(frozen=True, slots=True)
class NodeSink:
    """A sink for nodes."""

    store: Store

    def put(self, raw: Object) -> str:
        """Add or update a node; return its name."""
        node = observed.parse_node(raw)
        self.store.put_node(node)
        return node.name

    def delete(self, raw: Object) -> None:
        """Remove a node that was deleted."""
        self.store.drop_node(raw["metadata"]["name"])

    def retain(self, uids: set[str], version: int) -> None:
        """Remove what a complete list does not contain."""
        del version
        for name in self.store.nodes.keys() - uids:
            self.store.drop_node(name)


async def create_watches(kube: KubeClient, store: Store, namespaces: Iterable[str]) -> list[Watch]:
    """Return the watches to run; nodes are watched only without a list of namespaces.

    Raises:
        ApiError: the API server did not list its API groups.
    """
    groups = await kube.get("/apis")
    store.has_pod_monitors = any(
        group["name"] == kinds.POD_MONITOR.group for group in groups["groups"]
    )
    owned_kinds = [*kinds.OWNED_KINDS, *([kinds.POD_MONITOR] if store.has_pod_monitors else [])]
    watched: list[tuple[Kind, str, str]] = [
        (kinds.POD, kinds.SERVER_SELECTOR, kinds.POD.name),
        (kinds.POD, kinds.ROUTER_SELECTOR, observed.ROUTER_KIND),
        *((kind, kinds.OWNED_SELECTOR, kind.name) for kind in owned_kinds),
    ]
    scopes = list(namespaces) or [""]
    created = [
        Watch(kube, kind, namespace, selector, ObjectSink(store, name, namespace))
        for namespace in scopes
        for kind, selector, name in watched
    ]
    return (
        created if scopes != [""] else [*created, Watch(kube, kinds.NODE, "", "", NodeSink(store))]
    )


async def wait_until_synced(watches: Iterable[Watch]) -> None:
    """Return when every watch has listed its objects once."""
    await asyncio.gather(*(watch.synced.wait() for watch in watches))
