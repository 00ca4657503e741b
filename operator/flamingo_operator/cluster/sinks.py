"""The sinks through which watches keep a store up to date."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_operator.cluster import kinds, nodes, observed
from flamingo_operator.cluster.store import Store

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectSink:
    """A sink for objects that the operator created."""

    store: Store
    name: str
    """The kind, as the store calls it."""
    namespace: str

    def put(self, raw: Object) -> str:
        """Add or update an object; return its uid."""
        self.store.put(raw, self.name)
        return str(raw["metadata"]["uid"])

    def delete(self, raw: Object) -> None:
        """Remove an object that was deleted."""
        self.store.drop(observed.parse_ref(raw, self.name))

    def retain(self, uids: set[str], version: int) -> None:
        """Remove what a complete list does not contain."""
        self.store.retain(self.name, self.namespace, uids, version)


@dataclass(frozen=True, slots=True)
class NodeSink:
    """A sink for nodes."""

    store: Store
    name: str = kinds.NODE.name

    def put(self, raw: Object) -> str:
        """Add or update a node; return its name."""
        node = nodes.parse_node(raw)
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
