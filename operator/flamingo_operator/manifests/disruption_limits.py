"""The limits of PodDisruptionBudgets, in the form that works in each scaling mode.

For maxUnavailable, and for percentages, the disruption controller reads the desired number
of pods from the scale subresource of their controller. In mode Internal that is
`spec.replicas`, which is not used. Then the limit is computed here from the number that is
desired at the moment, as a number that must stay available.

Pure.
"""

from flamingo_operator.api.pod import DisruptionBudget
from flamingo_operator.api.spec import Spec
from flamingo_operator.manifests.common import Manifest


def limit(pdb: DisruptionBudget | None) -> Manifest:
    """Return the limit as the user wrote it; by default one pod may be unavailable."""
    return pdb.model_dump(by_alias=True, exclude_none=True) if pdb else {"maxUnavailable": 1}


def server_limit(spec: Spec, num_desired: int) -> Manifest:
    """Return the limit of server pods, of which `num_desired` are desired."""
    given = limit(spec.server.pdb)
    if spec.scaling.mode == "External":
        return given
    if "minAvailable" in given:
        return {"minAvailable": _count(given["minAvailable"], num_desired)}
    num_unavailable = _count(given["maxUnavailable"], num_desired)
    return {"minAvailable": max(0, num_desired - num_unavailable)}


def _count(number_or_percentage: int | str, num: int) -> int:
    """Return a percentage of `num` as a number, rounded up as Kubernetes does it."""
    if isinstance(number_or_percentage, int):
        return number_or_percentage
    return -(-int(number_or_percentage.removesuffix("%")) * num // 100)
