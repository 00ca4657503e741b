"""Leader election: the replica that holds the Lease is the leader.

How it works: the holder renews the Lease every eighth of its duration. Waiting
replicas trust only their own clock: when the Lease's resource version has not
changed for the whole duration, its holder has failed and the Lease may be acquired. A
leader that could not renew for two thirds of the duration stops leading, which is
before any other replica can have acquired the Lease. On a regular stop the holder
releases the Lease, so that the next leader does not have to wait.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.api import timestamps
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import ApiError, KubeClient

NAME = "flamingo-operator"
CONFLICT = 409


@dataclass(slots=True)
class Lease:
    """The Lease, as this replica last read it."""

    kube: KubeClient
    namespace: str
    identity: str
    duration_s: float
    problem: str = "the Lease was not read yet"
    """Why this replica could not acquire the Lease, unless another one holds it; empty if it could.
    """
    _body: dict[str, Any] = field(default_factory=dict)
    _changed_s: float = 0.0
    """When the Lease's resource version was first read; monotonic time."""

    async def acquire(self) -> None:
        """Wait until this replica holds the Lease."""
        while True:
            try:
                is_acquired = await self._try_acquire()
            except ApiError as error:
                self._report(error)
            else:
                self.problem = ""
                if is_acquired:
                    logs.get().info("lease.acquired", identity=self.identity)
                    return
            await asyncio.sleep(self.duration_s / 8)

    def _report(self, error: ApiError) -> None:
        problem = f"Lease {self.namespace}/{NAME}: {error.message}"
        if problem != self.problem:
            logs.get().warning(
                "lease.unreachable",
                error=problem,
                message="grant get, create and update of Leases in this namespace, which must"
                " exist, or set --operator-namespace",
            )
        self.problem = problem

    async def renew_until_lost(self) -> None:
        """Keep renewing the Lease; return when it is lost."""
        renewed_s = time.monotonic()
        while time.monotonic() - renewed_s < self.duration_s * 2 / 3:
            await asyncio.sleep(self.duration_s / 8)
            try:
                async with asyncio.timeout(self.duration_s / 4):
                    if not await self._try_acquire():
                        break
                renewed_s = time.monotonic()
            except (ApiError, TimeoutError) as error:
                logs.get().warning("lease.not_renewed", error=str(error))
        logs.get().error("lease.lost", identity=self.identity)

    async def release(self) -> None:
        """Release the Lease, so that another replica can acquire it at once."""
        if self._holder() != self.identity:
            return
        try:
            await self._write(holder="")
        except ApiError as error:
            logs.get().warning("lease.not_released", error=error.message)

    async def _try_acquire(self) -> bool:
        """Try once to acquire or renew the Lease; return whether this replica holds it."""
        await self._read()
        is_free = self._holder() in ("", self.identity)
        if not is_free and time.monotonic() - self._changed_s < self.duration_s:
            return False
        try:
            await self._write(holder=self.identity)
        except ApiError as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    async def _read(self) -> None:
        found = await self.kube.find(kinds.LEASE, self.namespace, NAME) or {}
        if _version(found) != _version(self._body):
            self._changed_s = time.monotonic()
        self._body = found

    def _holder(self) -> str:
        return self._body.get("spec", {}).get("holderIdentity") or ""

    async def _write(self, *, holder: str) -> None:
        now = timestamps.encode_micro(time.time())
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
        self._changed_s = time.monotonic()


def _version(body: dict[str, Any]) -> str:
    return str(body.get("metadata", {}).get("resourceVersion", ""))
