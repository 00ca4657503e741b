"""What the watches and our own writes have shown so far, by deployment.

What a write answers is seen at once, not when its watch tells of it: so a
decision is never made on a sight older than the last write. Resource versions
order what is heard of one object; a deleted object stays deleted, whatever a slow
answer says of it.

Pure: it is told, it asks nobody.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from flamingo_common.wire.report import StartReport
from flamingo_operator.api import names
from flamingo_operator.cluster import cold_start, observed
from flamingo_operator.cluster.observed import (
    Node,
    ObjectRef,
    Observed,
    ObservedRouter,
    OwnedObject,
    Pod,
    Revision,
)

MAX_TOMBSTONES = 20_000
ANY_VERSION = 2**63

Item: TypeAlias = Pod | ObservedRouter | Revision | OwnedObject


@dataclass(frozen=True, slots=True)
class Resource:
    """A FlamingoDeployment as it stands."""

    body: Mapping[str, Any]
    """Without managedFields."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata."""
        found: Mapping[str, Any] = self.body["metadata"]
        return found

    @property
    def uid(self) -> str:
        """Its identity."""
        return str(self.metadata["uid"])

    @property
    def version(self) -> int:
        """Its resource version."""
        return int(self.metadata["resourceVersion"])

    @property
    def avoided_nodes(self) -> set[str]:
        """Nodes that its status says are avoided."""
        return {one["node"] for one in self.body.get("status", {}).get("avoidedNodes", ())}

    @property
    def is_terminating(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self.metadata


def strip_managed_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a FlamingoDeployment without what nobody reads."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    found: dict[str, Any] = _shared({**body, "metadata": metadata})
    return found


def _shared(value: Any) -> Any:
    """Return a value whose texts are kept once, however many deployments have them."""
    if isinstance(value, Mapping):
        return {sys.intern(key): _shared(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shared(one) for one in value]
    return sys.intern(value) if type(value) is str else value


@dataclass(slots=True)
class Store:
    """The sight of all deployments. `changed` is told the key of whatever changed."""

    changed: Callable[[str], None]
    nodes: dict[str, Node] = field(default_factory=dict)
    has_pod_monitors: bool = False
    _resources: dict[str, Resource] = field(default_factory=dict)
    _items: dict[str, dict[tuple[str, str], Item]] = field(default_factory=dict)
    _keys: dict[str, dict[str, str]] = field(default_factory=dict)
    """Under which deployment each object is kept, by kind, by uid: its label may change."""
    _released: dict[str, set[str]] = field(default_factory=dict)
    """Names of pods that a person took our labels off, by deployment: found by chance."""
    _graves: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """Versions at which objects were last gone, by uid. One whose labels were taken off is gone
    for us, and back when they are put on again."""

    def deployment_keys(self) -> list[str]:
        """Return the deployments that there are."""
        return list(self._resources)

    def statuses(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return each deployment's status; may be asked from another thread."""
        there = list(self._resources.items())
        return [(key, one.body.get("status", {})) for key, one in there]

    def resource(self, key: str) -> Resource | None:
        """Return a FlamingoDeployment."""
        return self._resources.get(key)

    def put_resource(self, body: Mapping[str, Any]) -> None:
        """See a FlamingoDeployment."""
        resource = Resource(strip_managed_fields(body))
        key = names.deployment_key(resource.metadata["namespace"], resource.metadata["name"])
        known = self._resources.get(key)
        is_gone = resource.version <= self._graves.get(resource.uid, -1)
        if is_gone or (known and known.version >= resource.version):
            return
        self._resources[key] = resource
        self.changed(key)

    def drop_resource(self, body: Mapping[str, Any]) -> None:
        """See that a FlamingoDeployment is gone."""
        key = names.deployment_key(body["metadata"]["namespace"], body["metadata"]["name"])
        known = self._resources.get(key)
        if known is not None and known.uid == body["metadata"]["uid"]:
            del self._resources[key]
            self._released.pop(key, None)
            self.changed(key)
        self._bury(body["metadata"]["uid"], ANY_VERSION)

    def put(self, raw: Mapping[str, Any], kind: str, *, applied: str = "") -> None:
        """See an object; `applied` is the digest of what we just made of it."""
        item = parse_object(raw, kind)
        if item.ref.resource_version <= self._graves.get(item.ref.uid, -1):
            return
        self._move(item.ref, kind)
        items = self._items.setdefault(item.ref.key, {})
        known = items.get((kind, item.ref.name))
        if known is not None and known.ref.uid == item.ref.uid:
            if known.ref.resource_version > item.ref.resource_version:
                return
            item = _remembering(item, known)
        if applied and isinstance(item, OwnedObject):
            item = replace(item, applied=applied)
        if item != known:
            items[kind, item.ref.name] = item
            self.changed(item.ref.key)

    def drop(self, ref: ObjectRef) -> None:
        """See that an object is gone."""
        items = self._items.get(ref.key, {})
        known = items.get((ref.kind, ref.name))
        if known is not None and _is_same_or_newer(ref, known.ref):
            del items[ref.kind, ref.name]
            self._keys.get(ref.kind, {}).pop(ref.uid, None)
            self.changed(ref.key)
        if not items:
            self._items.pop(ref.key, None)
        self._bury(ref.uid, ref.resource_version)

    def retain(self, kind: str, namespace: str, uids: set[str], version: int) -> None:
        """See a whole list as of `version`: what is not in it, and is not newer, is gone."""
        gone = [
            item.ref
            for items in self._items.values()
            for (item_kind, _), item in items.items()
            if item_kind == kind
            and (not namespace or item.ref.namespace == namespace)
            and item.ref.uid not in uids
            and item.ref.resource_version <= version
        ]
        for ref in gone:
            self.drop(replace(ref, resource_version=version))

    def release(self, key: str, pod: str) -> None:
        """See that a person took our labels off a pod, whose name is not free then."""
        self._released.setdefault(key, set()).add(pod)

    def put_start_reports(self, key: str, told: Mapping[str, StartReport]) -> None:
        """See what servers' processes say of their starts, by the pods' addresses."""
        items = self._items.get(key, {})
        for place, item in items.items():
            if isinstance(item, Pod) and item.ip in told and item.start is not None:
                items[place] = replace(
                    item, start=cold_start.with_start_report(item.start, told[item.ip])
                )

    def put_node(self, node: Node) -> None:
        """See a node; whom it concerns looks again when what matters of it changed."""
        if self.nodes.get(node.name) == node:
            return
        is_new = node.name not in self.nodes
        self.nodes[node.name] = node
        if not is_new:
            self._concern(node.name)

    def drop_node(self, name: str) -> None:
        """See that a node is gone."""
        if self.nodes.pop(name, None) is not None:
            self._concern(name)

    def _concern(self, node: str) -> None:
        """Have everybody look again who has a pod on a node, or avoids it."""
        for key, items in self._items.items():
            if any(isinstance(item, Pod) and item.node == node for item in items.values()):
                self.changed(key)
        for key, resource in self._resources.items():
            if node in resource.avoided_nodes:
                self.changed(key)

    def observed(self, key: str, uid: str) -> Observed:
        """Return all that belongs to a deployment."""
        items = self._items.get(key, {}).values()
        pods = sorted(_of(items, Pod), key=lambda pod: pod.ref.name)
        revisions = sorted(_of(items, Revision), key=lambda one: one.number)
        return Observed(
            # What nobody owns is ours by its labels, as Kubernetes' own controllers hold it.
            pods=tuple(pod for pod in pods if pod.ref.owner_uid in ("", uid)),
            routers=tuple(sorted(_of(items, ObservedRouter), key=lambda one: one.ref.name)),
            revisions=tuple(one for one in revisions if one.ref.owner_uid in ("", uid)),
            owned={(one.ref.kind, one.ref.name): one for one in _of(items, OwnedObject)},
            nodes=self.nodes,
            has_pod_monitors=self.has_pod_monitors,
            conflicts=frozenset(pod.ref.name for pod in pods if pod.ref.owner_uid not in ("", uid))
            | self._released.get(key, set()),
        )

    def _move(self, ref: ObjectRef, kind: str) -> None:
        """Forget an object where it was kept before its label named another deployment."""
        keys = self._keys.setdefault(kind, {})
        key = keys.get(ref.uid, ref.key)
        if key != ref.key and (kind, ref.name) in self._items.get(key, {}):
            del self._items[key][kind, ref.name]
            self.changed(key)
        keys[ref.uid] = sys.intern(ref.key)

    def _bury(self, uid: str, version: int) -> None:
        self._graves[uid] = max(version, self._graves.get(uid, -1))
        if len(self._graves) > MAX_TOMBSTONES:
            self._graves.popitem(last=False)


def _is_same_or_newer(ref: ObjectRef, known: ObjectRef) -> bool:
    return known.uid == ref.uid and known.resource_version <= ref.resource_version


def parse_object(raw: Mapping[str, Any], kind: str) -> Item:
    """Return an object, cut down."""
    match kind:
        case "Pod":
            return observed.parse_pod(raw)
        case observed.ROUTER_KIND:
            return observed.parse_router(raw)
        case "ControllerRevision":
            return observed.parse_revision(raw)
        case _:
            return observed.parse_owned_object(raw, kind)


def _remembering(item: Item, known: Item) -> Item:
    """Return `item` with what only we knew of it, as long as our fields are what they were."""
    if (
        isinstance(item, OwnedObject)
        and isinstance(known, OwnedObject)
        and item.digest == known.digest
    ):
        return replace(item, applied=known.applied)
    if isinstance(item, Pod) and isinstance(known, Pod) and known.start is not None:
        # It has become ready once; to be so again, after a fault, is no start.
        return replace(item, start=known.start)
    return item


def _of(items: Iterable[Item], kind: type[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]
