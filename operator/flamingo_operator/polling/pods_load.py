"""Ask pods what they hold.

A pod that does not answer at once is left out: who decides knows what that means.
"""

import asyncio
from collections.abc import Iterable

import aiohttp
from pydantic import ValidationError

from flamingo_common.wire.report import LoadReport
from flamingo_operator.cluster.observed import Load, Pod
from flamingo_operator.manifests.common import PORT

ANSWER_S = 1.0
MAX_ASKED = 64


class PodsLoad:
    """A session to pods. `aclose` it in the end."""

    def __init__(self, key: str | None = None) -> None:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def read(self, pods: Iterable[Pod]) -> dict[str, Load]:
        """Return what each pod that answers holds, by its name."""
        asked = [pod for pod in pods if pod.ip][:MAX_ASKED]
        answers = await asyncio.gather(*(self._ask(pod) for pod in asked))
        return {
            pod.ref.name: load for pod, load in zip(asked, answers, strict=True) if load is not None
        }

    async def _ask(self, pod: Pod) -> Load | None:
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        try:
            async with self._session.get(f"http://{host}:{PORT}/stats") as response:
                report = LoadReport.model_validate_json(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValidationError):
            return None
        return Load(
            backlog_s=report.backlog_s, num_in_flight=report.num_running + report.num_waiting
        )
