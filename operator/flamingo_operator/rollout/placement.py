"""Whether a pod may run on a node, by the node's labels.

Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]
Labels: TypeAlias = Mapping[str, str]

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def may_run_on(spec: Json, node: str, labels: Labels) -> bool:
    """Whether the node selector and the required node affinity of a pod's spec match a node."""
    selector: Labels = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    of_nodes = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = of_nodes.get(REQUIRED)
    if required is None:
        return True
    fields = {"metadata.name": node}
    return any(
        _all_match(term.get("matchExpressions") or (), labels)
        and _all_match(term.get("matchFields") or (), fields)
        for term in required.get("nodeSelectorTerms") or ()
    )


def _all_match(requirements: Iterable[Json], labels: Labels) -> bool:
    return all(_matches(one, labels) for one in requirements)


def _matches(requirement: Json, labels: Labels) -> bool:
    value, values = labels.get(requirement["key"]), list(requirement.get("values") or ())
    outcomes = {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
        "Gt": _difference(value, values) > 0,
        "Lt": _difference(value, values) < 0,
    }
    # Kubernetes may know operators that this release does not.
    return outcomes.get(requirement["operator"], True)


def _difference(value: str | None, values: list[str]) -> int:
    """Return how much a label is above the number that it is compared with; 0 if it is none."""
    is_number = value is not None and value.lstrip("-").isdigit()
    return int(value or 0) - int(values[0]) if is_number and _is_number(values) else 0


def _is_number(values: list[str]) -> bool:
    return bool(values) and values[0].lstrip("-").isdigit()
