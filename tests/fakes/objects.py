"""The storage of an API server: objects, their versions, and the managers of their fields.

There is no defaulting, validation or admission, and lists are atomic: what depends on those is
tested on a real API server.
"""

import asyncio
import secrets
import uuid
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kmock import KubernetesError

Json = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace, name."""
TYPE_FIELDS = ("apiVersion", "kind")
UNMANAGED = {"name", "namespace", "uid", "resourceVersion", "managedFields"}
"""Metadata that no field manager owns."""


@dataclass
class Objects:
    """All objects of all kinds, and the history of their changes."""

    by_key: dict[Key, Json] = field(default_factory=dict)
    history: list[tuple[Key, Json]] = field(default_factory=list)
    version: int = 1
    compacted: int = 0
    """Events up to this version have expired."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something has changed, and then replaced."""
    is_silent: bool = False
    """Whether watches are not notified."""

    def get(self, key: Key, given: Json | None = None) -> Json:
        """Return an object, if uid and version match those in `given`."""
        if key not in self.by_key:
            raise KubernetesError(404, "NotFound", f"{key[0]} {key[2]!r} not found")
        metadata = self.by_key[key]["metadata"]
        for name in ("uid", "resourceVersion"):
            if (given or {}).get(name, metadata[name]) != metadata[name]:
                raise KubernetesError(409, "Conflict", f"{key[0]} {key[2]!r} has changed")
        return self.by_key[key]

    def create(self, plural: str, namespace: str, body: Json) -> Json:
        given = body["metadata"]
        name = given.get("name") or given["generateName"] + secrets.token_hex(3)
        if (plural, namespace, name) in self.by_key:
            raise KubernetesError(409, "AlreadyExists", f"{plural} {name!r} already exists")
        added = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "generation": 1}
        metadata = {**given, **added, "creationTimestamp": now()}
        return self._put((plural, namespace, name), {**body, "metadata": metadata}, "ADDED")

    def apply(self, key: Key, applied: Json, manager: str, subresource: str) -> Json:
        """Server-side apply, by force."""
        if key in self.by_key or subresource:
            live = self.get(key, applied["metadata"])
            return self._change(key, _applied(live, applied, manager, subresource))
        bare = {**applied, "metadata": {"name": key[2]}}
        return self.create(key[0], key[1], _applied(bare, applied, manager, ""))

    def merge(self, key: Key, patch: Json, subresource: str) -> Json:
        live = self.get(key, patch.get("metadata"))
        return self._change(key, merged(live, _parts(patch, subresource)))

    def replace(self, key: Key, body: Json) -> Json:
        live = self.get(key, body["metadata"])
        return self._change(key, {**body, "metadata": merged(live["metadata"], body["metadata"])})

    def delete(self, key: Key, options: Json) -> Json:
        """Delete an object; a pod on a node is only marked as terminating."""
        live = self.get(key, options.get("preconditions"))
        grace_s = options.get("gracePeriodSeconds", 30)
        if live.get("spec", {}).get("nodeName") and grace_s:
            terminating = {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace_s}
            return self._change(key, merged(live, {"metadata": terminating}))
        return self._put(key, live, "DELETED")

    def uids(self) -> set[str]:
        return {body["metadata"]["uid"] for body in self.by_key.values()}

    def compact(self) -> None:
        """Expire all events, so that every watch has to list again."""
        self.version += 1
        self.compacted = self.version
        self.history.clear()
        self._notify()

    def since(self, version: int) -> list[tuple[Key, Json]]:
        """Return the events after a version."""
        if version < self.compacted:
            raise KubernetesError(410, "Expired", "too old resource version")
        return self.history[bisect_right(self.history, version, key=_version) :]

    def _change(self, key: Key, body: Json) -> Json:
        live = self.by_key[key]
        if body == live:
            return live
        if body.get("spec") != live.get("spec"):
            generation = {"metadata": {"generation": live["metadata"]["generation"] + 1}}
            body = merged(body, generation)
        return self._put(key, body, "MODIFIED")

    def _put(self, key: Key, body: Json, kind: str) -> Json:
        self.version += 1
        stored = merged(body, {"metadata": {"resourceVersion": str(self.version)}})
        self.by_key[key] = stored
        if kind == "DELETED":
            del self.by_key[key]
        self.history.append((key, {"type": kind, "object": stored}))
        self._notify()
        return stored

    def _notify(self) -> None:
        if self.is_silent:
            return
        self.changed.set()
        self.changed = asyncio.Event()


def _version(event: tuple[Key, Json]) -> int:
    return int(event[1]["object"]["metadata"]["resourceVersion"])


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(live: Any, patch: Any) -> Any:
    """Return an object after a JSON merge patch."""
    if not isinstance(patch, dict):
        return patch
    live = live if isinstance(live, dict) else {}
    changed = {name: merged(live.get(name), part) for name, part in patch.items()}
    return {name: part for name, part in {**live, **changed}.items() if part is not None}


def _parts(body: Json, subresource: str) -> Json:
    """Return what a subresource writes: the status, or everything else."""
    return {part: body[part] for part in body if (part == "status") == (subresource == "status")}


def _applied(live: Json, applied: Json, manager: str, subresource: str) -> Json:
    """Return an object after a manager applied it, without fields that it no longer applies."""
    metadata = {name: one for name, one in applied["metadata"].items() if name not in UNMANAGED}
    parts = _parts({**applied, "metadata": metadata}, subresource)
    mine = {"manager": manager, "operation": "Apply"}
    mine |= {"subresource": subresource} if subresource else {}
    fields = _fields({name: part for name, part in parts.items() if name not in TYPE_FIELDS})
    entries = live["metadata"].get("managedFields", [])
    others = [one for one in entries if one != {**mine, "fieldsV1": one["fieldsV1"]}]
    before = next((one["fieldsV1"] for one in entries if one not in others), {})
    managed = {"managedFields": [*others, {**mine, "fieldsV1": fields}]}
    kept = fields
    for entry in others:
        kept = merged(kept, entry["fieldsV1"])
    return merged(merged(_without(live, before, kept), parts), {"metadata": managed})


def _fields(body: Json) -> Json:
    """Return the FieldsV1 set of all fields."""
    return {
        f"f:{name}": _fields(part) if isinstance(part, dict) else {} for name, part in body.items()
    }


def _without(live: Json, before: Json, after: Json) -> Json:
    """Return an object without the fields of `before` that are not in `after`."""
    kept = dict(live)
    for name, inner in before.items():
        if name[2:] not in kept:
            continue
        if inner and isinstance(kept[name[2:]], dict):
            kept[name[2:]] = _without(kept[name[2:]], inner, after.get(name, {}))
        if name not in after and not (inner and kept[name[2:]]):
            del kept[name[2:]]
    return kept
