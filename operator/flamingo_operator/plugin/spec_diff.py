"""The difference between two specs, field by field, and what it does to the server pods.

Pure.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic.alias_generators import to_camel

from flamingo_operator.manifests import pod_template

Json: TypeAlias = Mapping[str, Any]

REPLACING_BLOCKS = frozenset(map(to_camel, pod_template.TEMPLATE_FIELDS))
"""Blocks of the spec that are part of the pod template: a change of one replaces the pods."""
EXEMPT_FIELDS = ("cache.preload", "auth.observeKeySecretRef")
"""Fields in those blocks that are not in the pod template."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its path, and its two values as JSON; empty where it is not set."""

    path: str
    before: str
    after: str


def field_changes(before: Json, after: Json) -> list[FieldChange]:
    """Return the fields that differ, sorted by path."""
    return sorted(_differences("", before, after), key=lambda change: change.path)


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {*before, *after}:
            yield from _differences(f"{path}.{name}", before.get(name), after.get(name))
    elif before != after:
        yield FieldChange(path.removeprefix("."), _as_json(before), _as_json(after))


def _as_json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def describe_effects(before: Json | None, after: Json, changes: list[FieldChange]) -> Iterator[str]:
    """Yield what the changes do, one line each; `before` is None for a new deployment."""
    limits = _replica_range(after)
    if before is None:
        yield f"creates a fleet of {_range_text(*limits)} GPUs"
        return
    if not changes:
        yield "no changes"
        return
    in_template = (change for change in changes if not change.path.startswith(EXEMPT_FIELDS))
    blocks = sorted({_block(change) for change in in_template} & REPLACING_BLOCKS)
    if blocks:
        strategy = after.get("rollout", {}).get("strategy", "Auto")
        yield f"replaces all server pods (rollout strategy {strategy}): {', '.join(blocks)} changes"
    else:
        yield "replaces no server pods"
    if limits != _replica_range(before):
        yield f"GPUs: {_range_text(*_replica_range(before))} → {_range_text(*limits)}"


def _block(change: FieldChange) -> str:
    return change.path.partition(".")[0]


def _replica_range(spec: Json) -> tuple[int, int]:
    """Return the minimum and maximum number of replicas."""
    scaling = spec.get("scaling") or {}
    if spec.get("suspend"):
        return 0, 0
    if scaling.get("mode") == "Internal":
        return int(scaling.get("minReplicas", 1)), int(scaling.get("maxReplicas", 1))
    replicas = int(spec.get("replicas", 1))
    return replicas, replicas


def _range_text(minimum: int, maximum: int) -> str:
    return str(maximum) if minimum == maximum else f"{minimum} to {maximum}"
