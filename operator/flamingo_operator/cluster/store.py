"""The local mirror of the API server's objects, by FlamingoDeployment.

How it works: the watches and the responses to our own writes put objects into the
store. A response is stored at once, not when the watch delivers it, so no decision is
made on state that is older than the last write. The resource versions of one object
order its updates. A deleted object leaves a tombstone with its last version, so that a
late response or watch event does not bring it back. Whenever something of a
FlamingoDeployment has changed, `on_change` is called with its key.

Pure: it does no I/O itself.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from flamingo_common.wire.report import StartReport
from flamingo_operator.api import names
from flamingo_operator.cluster import cold_start, observed
from flamingo_operator.cluster.aliases import AliasClaims, Neighbor, parse_neighbor
from flamingo_operator.cluster.nodes import Node
from flamingo_operator.cluster.observed import (
    ControlledPod,
    ObjectRef,
    Observed,
    OwnedObject,
    Pod,
    Revision,
)
from flamingo_operator.cluster.pod_rejection import PodRejection

MAX_TOMBSTONES = 20_000
ANY_VERSION = 2**63

Item: TypeAlias = Pod | ControlledPod | Revision | OwnedObject


@dataclass(frozen=True, slots=True)
class Resource:
    """A FlamingoDeployment, as last observed."""

    body: Mapping[str, Any]
    """Without managedFields."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The object's metadata."""
        found: Mapping[str, Any] = self.body["metadata"]
        return found

    @property
    def key(self) -> str:
        """Its key in queues and caches."""
        return names.deployment_key(self.metadata["namespace"], self.metadata["name"])

    @property
    def uid(self) -> str:
        """The object's uid."""
        return str(self.metadata["uid"])

    @property
    def version(self) -> int:
        """The object's resource version."""
        return int(self.metadata["resourceVersion"])

    @property
    def avoided_nodes(self) -> set[str]:
        """Names of the nodes that its status lists as avoided."""
        return {one.get("node", "") for one in self.body.get("status", {}).get("avoidedNodes", ())}

    @property
    def is_terminating(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self.metadata

    @property
    def neighbor(self) -> Neighbor:
        """What other FlamingoDeployments need to know of it."""
        return parse_neighbor(self.body)


def strip_managed_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a FlamingoDeployment without its managedFields, which are not needed."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    found: dict[str, Any] = _interned({**body, "metadata": metadata})
    return found


def _interned(value: Any) -> Any:
    """Return a value whose strings are interned, because many deployments share them."""
    if isinstance(value, Mapping):
        return {sys.intern(key): _interned(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_interned(one) for one in value]
    return sys.intern(value) if type(value) is str else value


@dataclass(slots=True)
class Store:
    """All observed objects; `on_change` is called with the key of each deployment that changed."""

    on_change: Callable[[str], None]
    nodes: dict[str, Node] = field(default_factory=dict)
    _unavailable: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why the objects of a kind are unknown, by kind and namespace (empty: all)."""
    _resources: dict[str, Resource] = field(default_factory=dict)
    _items: dict[str, dict[tuple[str, str], Item]] = field(default_factory=dict)
    _keys: dict[str, dict[str, str]] = field(default_factory=dict)
    """The deployment that each object is stored under, by kind and uid: its label may change."""
    _released: dict[str, set[str]] = field(default_factory=dict)
    """Names of pods whose labels a user removed, by deployment, as found when creating pods."""
    _pod_rejections: dict[str, PodRejection] = field(default_factory=dict)
    """Why server pods could not be created, by deployment, the last time that was tried."""
    _claims: AliasClaims = field(default_factory=AliasClaims)
    _tombstones: OrderedDict[str, int] = field(default_factory=OrderedDict)
    """The versions at which objects were last deleted, by uid. An object whose labels were removed
    counts as deleted, and returns with a newer version when they are restored."""

    def deployment_keys(self) -> list[str]:
        """Return the keys of all FlamingoDeployments."""
        return list(self._resources)

    def statuses(self) -> list[tuple[str, int, Mapping[str, Any]]]:
        """Return each deployment's key, generation and status, also from another thread."""
        resources = list(self._resources.items())
        return [
            (key, one.metadata.get("generation", 0), one.body.get("status", {}))
            for key, one in resources
        ]

    def resource(self, key: str) -> Resource | None:
        """Return a FlamingoDeployment, or None if there is none."""
        return self._resources.get(key)

    def put_resource(self, body: Mapping[str, Any]) -> None:
        """Add or update a FlamingoDeployment."""
        resource = Resource(strip_managed_fields(body))
        key = names.deployment_key(resource.metadata["namespace"], resource.metadata["name"])
        known = self._resources.get(key)
        is_deleted = resource.version <= self._tombstones.get(resource.uid, -1)
        if is_deleted or (known and known.version >= resource.version):
            return
        self._resources[key] = resource
        self.on_change(key)
        news = (resource.neighbor.alias, resource.is_terminating)
        if news != ((known.neighbor.alias, known.is_terminating) if known else ("", False)):
            self._notify_of_alias(key, news[0])

    def drop_resource(self, body: Mapping[str, Any]) -> None:
        """Remove a FlamingoDeployment that was deleted."""
        key = names.deployment_key(body["metadata"]["namespace"], body["metadata"]["name"])
        known = self._resources.get(key)
        if known is not None and known.uid == body["metadata"]["uid"]:
            del self._resources[key]
            self._released.pop(key, None)
            self._pod_rejections.pop(key, None)
            self.on_change(key)
            self._notify_of_alias(key, "")
        self._add_tombstone(body["metadata"]["uid"], ANY_VERSION)

    def put(self, raw: Mapping[str, Any], kind: str, *, applied: str = "") -> None:
        """Add or update an object; `applied` is the digest of the manifest just applied to it."""
        item = parse_object(raw, kind)
        if item.ref.resource_version <= self._tombstones.get(item.ref.uid, -1):
            return
        self._update_key(item.ref, kind)
        items = self._items.setdefault(item.ref.key, {})
        known = items.get((kind, item.ref.name))
        if known is not None and known.ref.uid == item.ref.uid:
            if known.ref.resource_version > item.ref.resource_version:
                return
            item = _with_local_state(item, known)
        if applied and isinstance(item, OwnedObject):
            item = replace(item, applied=applied)
        if item != known:
            items[kind, item.ref.name] = item
            self.on_change(item.ref.key)
            self._notify_claimants(item.ref)

    def drop(self, ref: ObjectRef) -> None:
        """Remove an object that was deleted."""
        items = self._items.get(ref.key, {})
        known = items.get((ref.kind, ref.name))
        if known is not None and _is_same_or_newer(ref, known.ref):
            del items[ref.kind, ref.name]
            self._keys.get(ref.kind, {}).pop(ref.uid, None)
            self.on_change(ref.key)
            self._notify_claimants(ref)
        if not items:
            self._items.pop(ref.key, None)
        self._add_tombstone(ref.uid, ref.resource_version)

    def retain(self, kind: str, namespace: str, uids: set[str], version: int) -> None:
        """Remove all objects that a complete list as of `version` lacks, unless they are newer."""
        deleted = [
            item.ref
            for items in self._items.values()
            for (item_kind, _), item in items.items()
            if item_kind == kind
            and (not namespace or item.ref.namespace == namespace)
            and item.ref.uid not in uids
            and item.ref.resource_version <= version
        ]
        for ref in deleted:
            self.drop(replace(ref, resource_version=version))

    def mark_released(self, key: str, pod: str) -> None:
        """Record that a user removed our labels from a pod, so that its name is not available."""
        self._released.setdefault(key, set()).add(pod)

    def pod_rejection(self, key: str) -> PodRejection | None:
        """Return why server pods could not be created, if they could not."""
        return self._pod_rejections.get(key)

    def put_pod_rejection(self, key: str, rejection: PodRejection | None) -> None:
        """Record why server pods could not be created; None: they could be, or are not needed."""
        self._pod_rejections.pop(key, None)
        if rejection is not None:
            self._pod_rejections[key] = rejection

    def put_start_reports(self, key: str, reports: Mapping[str, StartReport]) -> None:
        """Add what server pods report of their own start, by the pods' addresses."""
        items = self._items.get(key, {})
        for place, item in items.items():
            if isinstance(item, Pod) and item.ip in reports and item.start is not None:
                items[place] = replace(
                    item, start=cold_start.with_start_report(item.start, reports[item.ip])
                )

    def set_unavailable(self, kind: str, namespace: str, why: str) -> None:
        """Record why a kind's objects are unknown in a namespace (empty: all), or that they are."""
        if why == self._unavailable.get((kind, namespace), ""):
            return
        self._unavailable[kind, namespace] = why
        for key in self._resources:
            if namespace in ("", names.namespace_of(key)):
                self.on_change(key)

    def _unavailable_in(self, namespace: str) -> dict[str, str]:
        return {
            kind: why
            for (kind, scope), why in self._unavailable.items()
            if why and scope in ("", namespace)
        }

    def forget(self, kind: str) -> None:
        """Remove all objects of a kind that is not served now; it may return with the same ones."""
        for items in self._items.values():
            for place in [place for place in items if place[0] == kind]:
                del items[place]
        self._keys.pop(kind, None)

    def put_node(self, node: Node) -> None:
        """Add or update a node; if it changed, reconcile the deployments that it affects."""
        if self.nodes.get(node.name) == node:
            return
        is_new = node.name not in self.nodes
        self.nodes[node.name] = node
        if not is_new:
            self._notify_of_node(node.name)

    def drop_node(self, name: str) -> None:
        """Remove a node that was deleted."""
        if self.nodes.pop(name, None) is not None:
            self._notify_of_node(name)

    def _notify_of_node(self, node: str) -> None:
        """Report a change for each deployment that has a pod on the node, or avoids it."""
        for key, items in self._items.items():
            if any(isinstance(item, Pod) and item.node == node for item in items.values()):
                self.on_change(key)
        for key, resource in self._resources.items():
            if node in resource.avoided_nodes:
                self.on_change(key)

    def _notify_of_alias(self, key: str, alias: str) -> None:
        """Report a change for each other deployment that claims or holds an alias."""
        changed = {("Service", one) for one in (alias, self._claims.alias(key)) if one}
        self._claims.put(key, alias)
        for other in self._claims.claimants(names.namespace_of(key)):
            if other != key:
                self.on_change(other)
        for holder, items in self._items.items():
            if holder != key and not changed.isdisjoint(items):
                self.on_change(holder)

    def _notify_claimants(self, ref: ObjectRef) -> None:
        """Report a change for each other deployment that claims a Service as its alias."""
        for key in self._claims.claimants(ref.namespace, ref.name) if ref.kind == "Service" else ():
            if key != ref.key:
                self.on_change(key)

    def _neighbors(self, key: str) -> tuple[Neighbor, ...]:
        """Return the other deployments of the namespace, if this one claims or holds an alias."""
        namespace, _, name = key.partition("/")
        services = (one for kind, one in self._items.get(key, {}) if kind == "Service")
        holds_alias = any(names.is_alias(name, one) for one in services)
        if not (holds_alias or self._claims.alias(key)):
            return ()
        return tuple(
            resource.neighbor
            for other, resource in self._resources.items()
            if other != key and names.namespace_of(other) == namespace
        )

    def _foreign_alias(self, key: str) -> OwnedObject | None:
        """Return the Service that a deployment claims as its alias, if another one holds it."""
        alias, namespace = self._claims.alias(key), names.namespace_of(key)
        for other, items in self._items.items() if alias else ():
            found = items.get(("Service", alias))
            is_here = other != key and names.namespace_of(other) == namespace
            if is_here and isinstance(found, OwnedObject):
                return found
        return None

    def observed(self, key: str, uid: str) -> Observed:
        """Return the observed objects of a deployment."""
        items = self._items.get(key, {}).values()
        pods = sorted(_of_type(items, Pod), key=lambda pod: pod.ref.name)
        revisions = sorted(_of_type(items, Revision), key=lambda one: one.number)
        others = sorted(_of_type(items, ControlledPod), key=lambda one: one.ref.name)
        return Observed(
            # Objects without a controller are ours by their labels, as for Kubernetes' controllers.
            pods=tuple(pod for pod in pods if pod.ref.owner_uid in ("", uid)),
            routers=tuple(one for one in others if one.component == "router"),
            preload_pods=tuple(one for one in others if one.component == "preload"),
            batches_pods=tuple(one for one in others if one.component == "batches"),
            revisions=tuple(one for one in revisions if one.ref.owner_uid in ("", uid)),
            owned={(one.ref.kind, one.ref.name): one for one in _of_type(items, OwnedObject)},
            nodes=self.nodes,
            pod_rejection=self._pod_rejections.get(key),
            unavailable=self._unavailable_in(names.namespace_of(key)),
            conflicts=frozenset(pod.ref.name for pod in pods if pod.ref.owner_uid not in ("", uid))
            | self._released.get(key, set()),
            neighbors=self._neighbors(key),
            foreign_alias=self._foreign_alias(key),
        )

    def _update_key(self, ref: ObjectRef, kind: str) -> None:
        """Remove an object from the deployment that its label named before, if that changed."""
        keys = self._keys.setdefault(kind, {})
        key = keys.get(ref.uid, ref.key)
        if key != ref.key and (kind, ref.name) in self._items.get(key, {}):
            del self._items[key][kind, ref.name]
            self.on_change(key)
        keys[ref.uid] = sys.intern(ref.key)

    def _add_tombstone(self, uid: str, version: int) -> None:
        self._tombstones[uid] = max(version, self._tombstones.get(uid, -1))
        if len(self._tombstones) > MAX_TOMBSTONES:
            self._tombstones.popitem(last=False)


def _is_same_or_newer(ref: ObjectRef, known: ObjectRef) -> bool:
    return known.uid == ref.uid and known.resource_version <= ref.resource_version


def parse_object(raw: Mapping[str, Any], kind: str) -> Item:
    """Return an object, reduced to what decisions need."""
    match kind:
        case "Pod":
            return observed.parse_pod(raw)
        case observed.ROUTER_KIND | observed.PRELOAD_KIND | observed.BATCHES_KIND:
            return observed.parse_controlled_pod(raw, kind)
        case "ControllerRevision":
            return observed.parse_revision(raw)
        case _:
            return observed.parse_owned_object(raw, kind)


def _with_local_state(item: Item, known: Item) -> Item:
    """Return `item` with the state that only this process has, if our fields are unchanged."""
    if (
        isinstance(item, OwnedObject)
        and isinstance(known, OwnedObject)
        and item.digest == known.digest
    ):
        return replace(item, applied=known.applied)
    if isinstance(item, Pod) and isinstance(known, Pod) and known.start is not None:
        # It was ready before: becoming ready again after a failure does not count as a start.
        return replace(item, start=known.start)
    return item


def _of_type(items: Iterable[Item], kind: type[Any]) -> list[Any]:
    return [item for item in items if isinstance(item, kind)]
