"""Reads the load of server pods: `GET /stats`.

A pod that does not respond in time is left out; the caller decides what that means.
"""

import asyncio
from collections.abc import Iterable

import aiohttp
from pydantic import ValidationError

from flamingo_common.wire.report import LoadReport
from flamingo_operator.cluster.observed import Load, Pod
from flamingo_operator.manifests.common import PORT

TIMEOUT_S = 1.0
MAX_PODS = 64


class PodLoadClient:
    """An HTTP session to server pods. Close it with `aclose`."""

    def __init__(self, key: str | None = None) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            headers={"Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def read(self, pods: Iterable[Pod]) -> dict[str, Load]:
        """Return the load of each pod that responds, by its name; of at most MAX_PODS."""
        polled = [pod for pod in pods if pod.ip][:MAX_PODS]
        loads = await asyncio.gather(*(self._get(pod) for pod in polled))
        return {
            pod.ref.name: load for pod, load in zip(polled, loads, strict=True) if load is not None
        }

    async def _get(self, pod: Pod) -> Load | None:
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        try:
            async with self._session.get(f"http://{host}:{PORT}/stats") as response:
                report = LoadReport.model_validate_json(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError):
            return None
        return Load(
            backlog_s=report.backlog_s, num_in_flight=report.num_running + report.num_waiting
        )
