"""The watches that keep a store up to date."""

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
    """A sink for what we made."""

    store: Store
    kind: str
    namespace: str

    def seen(self, raw: Object) -> str:
        """Take an object that is there."""
        self.store.put(raw, self.kind)
        return str(raw["metadata"]["uid"])

    def gone(self, raw: Object) -> None:
        """Take an object that is gone."""
        self.store.drop(observed.ref(raw, self.kind))

    def listed(self, uids: set[str], version: int) -> None:
        """Take a whole list."""
        self.store.retain(self.kind, self.namespace, uids, version)


@dataclass(frozen=True, slots=True)
class NodeSink:
    """A sink for nodes."""

    store: Store

    def seen(self, raw: Object) -> str:
        """Take a node that is there."""
        node = observed.node(raw)
        self.store.put_node(node)
        return node.name

    def gone(self, raw: Object) -> None:
        """Take a node that is gone."""
        self.store.drop_node(raw["metadata"]["name"])

    def listed(self, uids: set[str], version: int) -> None:
        """Take a whole list."""
        del version
        for name in self.store.nodes.keys() - uids:
            self.store.drop_node(name)


async def watches(kube: KubeClient, store: Store, namespaces: Iterable[str]) -> list[Watch]:
    """Return what has to be followed; nodes only where the whole cluster is ours to see."""
    groups = await kube.get("/apis")
    store.has_pod_monitors = any(
        group["name"] == kinds.POD_MONITOR.group for group in groups["groups"]
    )
    others = [*kinds.OWNED_KINDS, *([kinds.POD_MONITOR] if store.has_pod_monitors else [])]
    followed: list[tuple[Kind, str, str]] = [
        (kinds.POD, kinds.SERVER_SELECTOR, kinds.POD.name),
        (kinds.POD, kinds.ROUTER_SELECTOR, observed.ROUTER_KIND),
        *((kind, kinds.OWNED_SELECTOR, kind.name) for kind in others),
    ]
    within = list(namespaces) or [""]
    made = [
        Watch(kube, kind, namespace, selector, ObjectSink(store, name, namespace))
        for namespace in within
        for kind, selector, name in followed
    ]
    return made if within != [""] else [*made, Watch(kube, kinds.NODE, "", "", NodeSink(store))]


async def synced(made: Iterable[Watch]) -> None:
    """Return when everything has been listed once."""
    await asyncio.gather(*(watch.synced.wait() for watch in made))
