"""Ask the API server which kinds it serves: for each resource, not only for its API group."""

import asyncio
from collections.abc import Iterable

from flamingo_common.service import logs
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import NOT_FOUND, ApiError, KubeClient


async def is_served(kube: KubeClient, kind: Kind) -> bool:
    """Whether the API server serves `kind`, in its version.

    Raises:
        ApiError: it did not say so.
    """
    try:
        found = await kube.get(f"/apis/{kind.version}")
    except ApiError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return any(one["name"] == kind.plural for one in found["resources"])


async def find_served(kube: KubeClient, wanted: Iterable[Kind]) -> dict[Kind, bool]:
    """Return which of `wanted` are served; those of which that is unknown are missing."""
    kinds = list(wanted)
    results = await asyncio.gather(
        *(is_served(kube, kind) for kind in kinds), return_exceptions=True
    )
    found: dict[Kind, bool] = {}
    for kind, result in zip(kinds, results, strict=True):
        if isinstance(result, ApiError):
            logs.get().warning("discovery.failed", kind=kind.name, error=result.message)
        elif isinstance(result, BaseException):
            raise result
        else:
            found[kind] = result
    return found
