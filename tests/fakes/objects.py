"""What a Kubernetes API server remembers: objects, their versions, and who owns which field.

Nothing is defaulted, validated or admitted, and a list is owned and replaced as a whole: what
depends on those is tested on a real API server.
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
TYPE = ("apiVersion", "kind")
NOBODYS = {"name", "namespace", "uid", "resourceVersion", "managedFields"}
"""Metadata that no manager owns."""


@dataclass
class Objects:
    """All objects of all kinds, and what happened to them."""

    there: dict[Key, Json] = field(default_factory=dict)
    history: list[tuple[Key, Json]] = field(default_factory=list)
    version: int = 1
    forgotten: int = 0
    """Events up to this version are not remembered."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something happened, and then another one."""
    is_silent: bool = False
    """Tell nobody that something happened."""

    def get(self, key: Key, given: Json | None = None) -> Json:
        """Return an object, if it is still the one that `given` names."""
        if key not in self.there:
            raise KubernetesError(404, "NotFound", f"{key[0]} {key[2]!r} not found")
        metadata = self.there[key]["metadata"]
        for name in ("uid", "resourceVersion"):
            if (given or {}).get(name, metadata[name]) != metadata[name]:
                raise KubernetesError(409, "Conflict", f"{key[0]} {key[2]!r} has changed")
        return self.there[key]

    def create(self, plural: str, namespace: str, body: Json) -> Json:
        said = body["metadata"]
        name = said.get("name") or said["generateName"] + secrets.token_hex(3)
        if (plural, namespace, name) in self.there:
            raise KubernetesError(409, "AlreadyExists", f"{plural} {name!r} already exists")
        made = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "generation": 1}
        metadata = {**said, **made, "creationTimestamp": now()}
        return self._put((plural, namespace, name), {**body, "metadata": metadata}, "ADDED")

    def apply(self, key: Key, said: Json, manager: str, subresource: str) -> Json:
        """Apply server-side, by force."""
        if key in self.there or subresource:
            live = self.get(key, said["metadata"])
            return self._change(key, _applied(live, said, manager, subresource))
        bare = {**said, "metadata": {"name": key[2]}}
        return self.create(key[0], key[1], _applied(bare, said, manager, ""))

    def merge(self, key: Key, patch: Json, subresource: str) -> Json:
        live = self.get(key, patch.get("metadata"))
        return self._change(key, merged(live, _parts(patch, subresource)))

    def replace(self, key: Key, body: Json) -> Json:
        live = self.get(key, body["metadata"])
        return self._change(key, {**body, "metadata": merged(live["metadata"], body["metadata"])})

    def delete(self, key: Key, options: Json) -> Json:
        """Delete an object; a pod on a node is only told to leave."""
        live = self.get(key, options.get("preconditions"))
        grace_s = options.get("gracePeriodSeconds", 30)
        if live.get("spec", {}).get("nodeName") and grace_s:
            told = {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace_s}
            return self._change(key, merged(live, {"metadata": told}))
        return self._put(key, live, "DELETED")

    def uids(self) -> set[str]:
        return {body["metadata"]["uid"] for body in self.there.values()}

    def forget(self) -> None:
        """Lose the memory of all that happened: who follows has to list."""
        self.version += 1
        self.forgotten = self.version
        self.history.clear()
        self._tell()

    def since(self, version: int) -> list[tuple[Key, Json]]:
        """Return what happened after a version."""
        if version < self.forgotten:
            raise KubernetesError(410, "Expired", "too old resource version")
        return self.history[bisect_right(self.history, version, key=_version) :]

    def _change(self, key: Key, body: Json) -> Json:
        live = self.there[key]
        if body == live:
            return live
        if body.get("spec") != live.get("spec"):
            generation = {"metadata": {"generation": live["metadata"]["generation"] + 1}}
            body = merged(body, generation)
        return self._put(key, body, "MODIFIED")

    def _put(self, key: Key, body: Json, kind: str) -> Json:
        self.version += 1
        stored = merged(body, {"metadata": {"resourceVersion": str(self.version)}})
        self.there[key] = stored
        if kind == "DELETED":
            del self.there[key]
        self.history.append((key, {"type": kind, "object": stored}))
        self._tell()
        return stored

    def _tell(self) -> None:
        if self.is_silent:
            return
        self.news.set()
        self.news = asyncio.Event()


def _version(happened: tuple[Key, Json]) -> int:
    return int(happened[1]["object"]["metadata"]["resourceVersion"])


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(live: Any, patch: Any) -> Any:
    """Return what a JSON merge patch makes of an object."""
    if not isinstance(patch, dict):
        return patch
    live = live if isinstance(live, dict) else {}
    changed = {name: merged(live.get(name), part) for name, part in patch.items()}
    return {name: part for name, part in {**live, **changed}.items() if part is not None}


def _parts(said: Json, subresource: str) -> Json:
    """Return what is written there: the status, or all but the status."""
    return {part: said[part] for part in said if (part == "status") == (subresource == "status")}


def _applied(live: Json, said: Json, manager: str, subresource: str) -> Json:
    """Return an object as `manager` says it, without what it said before and says no more."""
    metadata = {name: one for name, one in said["metadata"].items() if name not in NOBODYS}
    parts = _parts({**said, "metadata": metadata}, subresource)
    mine = {"manager": manager, "operation": "Apply"}
    mine |= {"subresource": subresource} if subresource else {}
    fields = _fields({name: part for name, part in parts.items() if name not in TYPE})
    entries = live["metadata"].get("managedFields", [])
    others = [one for one in entries if one != {**mine, "fieldsV1": one["fieldsV1"]}]
    before = next((one["fieldsV1"] for one in entries if one not in others), {})
    managed = {"managedFields": [*others, {**mine, "fieldsV1": fields}]}
    return merged(merged(_without(live, before, fields), parts), {"metadata": managed})


def _fields(said: Json) -> Json:
    """Return a FieldsV1 set of all that is said."""
    return {
        f"f:{name}": _fields(part) if isinstance(part, dict) else {} for name, part in said.items()
    }


def _without(live: Json, before: Json, after: Json) -> Json:
    """Return an object without the fields of `before` that `after` has not."""
    kept = dict(live)
    for name, inner in before.items():
        if name[2:] not in kept:
            continue
        if inner and isinstance(kept[name[2:]], dict):
            kept[name[2:]] = _without(kept[name[2:]], inner, after.get(name, {}))
        if name not in after and not (inner and kept[name[2:]]):
            del kept[name[2:]]
    return kept
