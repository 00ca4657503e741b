"""What a pod counts against the ResourceQuotas of its namespace.

It is computed from the pod as the API server stored it, so it includes what a LimitRange or a
webhook added. Pods with equal resources share one result.

Pure.
"""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from flamingo_operator.api import quantity

Usage: TypeAlias = Mapping[str, Decimal]
"""Amounts by the names that quotas use, such as `requests.cpu`, `limits.memory` and `pods`."""

BARE_NAMES = frozenset({"cpu", "memory", "ephemeral-storage"})
"""Resources whose requests a quota may also name without `requests.`."""


def of_pod(spec: Mapping[str, Any]) -> Usage:
    """Return what a pod with this spec counts against quotas."""
    containers = [one.get("resources") or {} for one in spec.get("containers") or ()]
    inits = [
        (one.get("resources") or {}, one.get("restartPolicy") == "Always")
        for one in spec.get("initContainers") or ()
    ]
    found = [containers, inits, spec.get("overhead") or {}, spec.get("resources") or {}]
    return _usage(json.dumps(found, sort_keys=True))


@lru_cache(maxsize=1024)
def _usage(text: str) -> Usage:
    containers, inits, overhead, whole = json.loads(text)
    usage = {"pods": Decimal(1), "count/pods": Decimal(1)}
    for kind in ("requests", "limits"):
        total = _total(
            [one.get(kind) or {} for one in containers],
            [(one.get(kind) or {}, is_sidecar) for one, is_sidecar in inits],
        )
        # Resources of the whole pod take the place of the sum of its containers'.
        total |= _parsed(whole.get(kind) or {})
        for name, amount in _parsed(overhead).items():
            total[name] = total.get(name, Decimal(0)) + amount
        usage |= {f"{kind}.{name}": amount for name, amount in total.items()}
        if kind == "requests":
            usage |= {name: amount for name, amount in total.items() if name in BARE_NAMES}
    return MappingProxyType(usage)


def _total(
    containers: Iterable[Mapping[str, Any]], inits: Iterable[tuple[Mapping[str, Any], bool]]
) -> dict[str, Decimal]:
    """Return the sum of the containers, or what an init container needs if that is more."""
    total: dict[str, Decimal] = {}
    sidecars: dict[str, Decimal] = {}
    peak: dict[str, Decimal] = {}
    for one in containers:
        _add(total, one)
    for one, is_sidecar in inits:
        needed = dict(sidecars)
        _add(needed, one)
        if is_sidecar:
            sidecars = needed
        peak = {name: max(peak.get(name, Decimal(0)), needed[name]) for name in needed} | {
            name: amount for name, amount in peak.items() if name not in needed
        }
    for name, amount in sidecars.items():
        total[name] = total.get(name, Decimal(0)) + amount
    return {
        name: max(total.get(name, Decimal(0)), peak.get(name, Decimal(0)))
        for name in total.keys() | peak.keys()
    }


def _add(total: dict[str, Decimal], amounts: Mapping[str, Any]) -> None:
    for name, amount in _parsed(amounts).items():
        total[name] = total.get(name, Decimal(0)) + amount


def _parsed(amounts: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: quantity.parse(amount) for name, amount in amounts.items()}
