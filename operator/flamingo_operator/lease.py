"""One replica leads: who holds the Lease.

A holder renews it every few seconds. Who waits believes no clock but its own: a
Lease whose version has not changed for its whole term has lost its holder. A
leader that could not renew for two thirds of the term stops leading, before
anybody can have taken over.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import ApiError, KubeClient

NAME = "flamingo-operator"
CONFLICT = 409


@dataclass(slots=True)
class Lease:
    """The Lease, as this replica sees it."""

    kube: KubeClient
    namespace: str
    identity: str
    duration_s: float
    _body: dict[str, Any] = field(default_factory=dict)
    _seen_s: float = 0.0
    """When the version was first seen, monotonic."""

    async def acquire(self) -> None:
        """Return when the Lease is ours."""
        while True:
            try:
                if await self._take():
                    logs.get().info("lease.taken", identity=self.identity)
                    return
            except ApiError as error:
                logs.get().warning("lease.unreachable", error=error.message)
            await asyncio.sleep(self.duration_s / 8)

    async def keep(self) -> None:
        """Renew the Lease; return when it is lost."""
        renewed_s = time.monotonic()
        while time.monotonic() - renewed_s < self.duration_s * 2 / 3:
            await asyncio.sleep(self.duration_s / 8)
            try:
                async with asyncio.timeout(self.duration_s / 4):
                    if not await self._take():
                        break
                renewed_s = time.monotonic()
            except (ApiError, TimeoutError) as error:
                logs.get().warning("lease.not_renewed", error=str(error))
        logs.get().error("lease.lost", identity=self.identity)

    async def release(self) -> None:
        """Leave the Lease to the next at once."""
        if self._holder() != self.identity:
            return
        try:
            await self._write(holder="")
        except ApiError as error:
            logs.get().warning("lease.not_released", error=error.message)

    async def _take(self) -> bool:
        """Try once to have the Lease for another term."""
        await self._look()
        is_free = self._holder() in ("", self.identity)
        if not is_free and time.monotonic() - self._seen_s < self.duration_s:
            return False
        try:
            await self._write(holder=self.identity)
        except ApiError as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    async def _look(self) -> None:
        found = await self.kube.find(kinds.LEASE, self.namespace, NAME) or {}
        if _version(found) != _version(self._body):
            self._seen_s = time.monotonic()
        self._body = found

    def _holder(self) -> str:
        return self._body.get("spec", {}).get("holderIdentity") or ""

    async def _write(self, *, holder: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict(self._body.get("spec", {}))
        if holder != self._holder():
            spec["acquireTime"] = now
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + 1
        spec |= {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self.duration_s)),
            "renewTime": now,
        }
        metadata = self._body.get("metadata") or {"name": NAME, "namespace": self.namespace}
        body = {
            "apiVersion": kinds.LEASE.version,
            "kind": kinds.LEASE.name,
            "metadata": metadata,
            "spec": spec,
        }
        write = self.kube.replace if self._body else self.kube.create
        self._body = await write(kinds.LEASE, body)
        self._seen_s = time.monotonic()


def _version(body: dict[str, Any]) -> str:
    return str(body.get("metadata", {}).get("resourceVersion", ""))
