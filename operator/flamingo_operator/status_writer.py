"""Writes the status of FlamingoDeployments, and posts an event for each transition in it.

How it works. The change is sent as a merge patch to `/status`, because server-side apply refuses
fields that the CustomResourceDefinition does not declare, which one of an earlier release does not.
The API server prunes them instead. What was pruned is kept here: it would otherwise look like a
change each time, and be written and reported without end. If the API server calls a field invalid,
as the CustomResourceDefinition of another release may, the rest is written without it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.api import names, timestamps
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.apply import StaleError
from flamingo_operator.cluster.kube import CONFLICT, INVALID, NOT_FOUND, ApiError, KubeClient
from flamingo_operator.cluster.store import Resource, Store
from flamingo_operator.reporting import events, status_patch
from flamingo_operator.reporting.events import Event

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Pruned:
    """A status of which the API server did not keep everything."""

    uid: str
    written: Json
    kept: Json


@dataclass(slots=True)
class StatusWriter:
    """Writes statuses, and knows what of them was pruned."""

    kube: KubeClient
    store: Store
    identity: str
    now: Callable[[], float] = time.time
    _pruned: dict[str, _Pruned] = field(default_factory=dict)

    def current(self, resource: Resource) -> Json:
        """Return the current status, with what the API server pruned of it."""
        kept: Json = resource.body.get("status") or {}
        known = self._pruned.get(resource.key)
        if known is not None and (known.uid, known.kept) == (resource.uid, kept):
            return known.written
        return kept

    def forget(self, key: str) -> None:
        """Drop what is kept about a deployment that was deleted."""
        self._pruned.pop(key, None)

    async def write(self, resource: Resource, new: dict[str, Any]) -> None:
        """Write the status and post its events, if anything in it is new.

        Raises:
            StaleError: the deployment has changed in the meantime.
            ApiError: the API server failed or rejected the status.
        """
        old = self.current(resource)
        if new == old:
            return
        try:
            raw = await self._patch(resource, new)
        except ApiError as error:
            if error.status == CONFLICT:
                raise StaleError(f"status of {resource.key}: {error.message}") from error
            if error.status != NOT_FOUND:
                raise
            self.store.drop_resource(resource.body)
            return
        self._remember(resource, new, raw.get("status") or {})
        self.store.put_resource(raw)
        await asyncio.gather(
            *(self._post_event(resource, event) for event in events.events(old, new))
        )

    def _remember(self, resource: Resource, written: Json, kept: Json) -> None:
        if kept == written:
            self._pruned.pop(resource.key, None)
        else:
            self._pruned[resource.key] = _Pruned(resource.uid, written, kept)

    async def _patch(self, resource: Resource, new: dict[str, Any]) -> dict[str, Any]:
        """Write a status; without the fields that are invalid, if the API server says so."""
        try:
            return await self._send(resource, new)
        except ApiError as error:
            invalid = status_patch.invalid_fields(error.message) & new.keys()
            if error.status != INVALID or not invalid:
                raise
            logs.get().warning(
                "status.partly_rejected",
                key=resource.key,
                fields=sorted(invalid),
                error=error.message,
                message="they are left out; apply the CustomResourceDefinition of this release",
            )
            return await self._send(resource, status_patch.without(new, invalid))

    async def _send(self, resource: Resource, new: dict[str, Any]) -> dict[str, Any]:
        patch = status_patch.merge_patch(resource.body.get("status") or {}, new)
        logs.get().debug("status.patched", key=resource.key, fields=sorted(patch))
        metadata = {"uid": resource.uid, "resourceVersion": str(resource.version)}
        return await self.kube.merge_status(
            kinds.RESOURCE,
            resource.metadata["namespace"],
            resource.metadata["name"],
            {"metadata": metadata, "status": patch},
        )

    async def _post_event(self, resource: Resource, event: Event) -> None:
        """Post an event; an error is only logged, since the reconciliation itself succeeded."""
        moment = timestamps.encode(self.now())
        about = {key: resource.metadata[key] for key in ("name", "namespace", "uid")}
        body = {
            "metadata": {
                "generateName": f"{about['name']}-",
                "namespace": about["namespace"],
            },
            "involvedObject": {
                "apiVersion": kinds.RESOURCE.version,
                "kind": kinds.RESOURCE.name,
                "resourceVersion": resource.metadata["resourceVersion"],
                **about,
            },
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "message": event.message[:1024],
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
            "reportingComponent": names.FIELD_MANAGER,
            "reportingInstance": self.identity,
            "source": {"component": names.FIELD_MANAGER},
        }
        try:
            await self.kube.create(kinds.EVENT, body)
        except ApiError as error:
            logs.get().warning("event.not_posted", reason=event.reason, error=error.message)
