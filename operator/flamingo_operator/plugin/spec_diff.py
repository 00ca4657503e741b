"""Two specs → what changes, field by field, and what that does to the servers.

Pure.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic.alias_generators import to_camel

from flamingo_operator.manifests import pod_template

Json: TypeAlias = Mapping[str, Any]

REPLACING = frozenset(map(to_camel, pod_template.TEMPLATE_FIELDS))
"""Parts of the spec that a running pod cannot take on."""
SPARED = ("cache.preload", "auth.observeKeySecretRef")
"""What of them no pod's template has."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its path, and its two values as JSON; empty where it is not there."""

    path: str
    before: str
    after: str


def changes(before: Json, after: Json) -> list[FieldChange]:
    """Return what differs, in the order of the fields' paths."""
    return sorted(_differing("", before, after), key=lambda change: change.path)


def _differing(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {*before, *after}:
            yield from _differing(f"{path}.{name}", before.get(name), after.get(name))
    elif before != after:
        yield FieldChange(path.removeprefix("."), _told(before), _told(after))


def _told(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def effects(before: Json | None, after: Json, found: list[FieldChange]) -> Iterator[str]:
    """Yield what the changes do, in sentences."""
    fewest, most = _servers(after)
    if before is None:
        yield f"makes a fleet of {_span(fewest, most)} GPUs"
        return
    if not found:
        yield "nothing changes"
        return
    shaping = (change for change in found if not change.path.startswith(SPARED))
    replacing = sorted({_top(change) for change in shaping} & REPLACING)
    if replacing:
        strategy = after.get("rollout", {}).get("strategy", "Auto")
        yield f"replaces every server, by rollout strategy {strategy}: {', '.join(replacing)}"
    else:
        yield "replaces no server"
    if (fewest, most) != _servers(before):
        yield f"GPUs: {_span(*_servers(before))} → {_span(fewest, most)}"


def _top(change: FieldChange) -> str:
    return change.path.partition(".")[0]


def _servers(spec: Json) -> tuple[int, int]:
    scaling = spec.get("scaling") or {}
    if spec.get("suspend"):
        return 0, 0
    if scaling.get("mode") == "Internal":
        return int(scaling.get("minReplicas", 1)), int(scaling.get("maxReplicas", 1))
    replicas = int(spec.get("replicas", 1))
    return replicas, replicas


def _span(fewest: int, most: int) -> str:
    return str(most) if fewest == most else f"{fewest} to {most}"
