"""The difference between two specs, field by field, and which fields change the server pods.

Pure.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from flamingo_operator.api.rules import violations
from flamingo_operator.api.spec import Spec
from flamingo_operator.manifests import spec_revision

Json: TypeAlias = Mapping[str, Any]

IGNORED_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
)
HELM_LABEL = ("app.kubernetes.io/managed-by", "Helm")
"""Helm adds this and two annotations to each object; its templates lack them."""
DEFAULT_IMAGE = "default"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: its path, and its two values as JSON; empty where it is not set."""

    field: str
    before: str
    after: str


def object_changes(before: Json, after: Json) -> list[FieldChange]:
    """Return the fields of a user that differ between two objects: labels, annotations, spec."""
    changes = _differences("", _of_users(before), _of_users(after))
    return sorted(changes, key=lambda change: change.field)


def _of_users(whole: Json) -> Json:
    metadata = whole["metadata"]
    annotations = {
        name: value
        for name, value in (metadata.get("annotations") or {}).items()
        if name not in IGNORED_ANNOTATIONS
    }
    labels = dict(one for one in (metadata.get("labels") or {}).items() if one != HELM_LABEL)
    return {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": whole["spec"],
    }


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {*before, *after}:
            yield from _differences(f"{path}{_step(name)}", before.get(name), after.get(name))
    elif _is_named(before) and _is_named(after):
        olds, news = _by_name(before), _by_name(after)
        for name in {*olds, *news}:
            yield from _differences(f"{path}[{name}]", olds.get(name), news.get(name))
    elif before != after:
        yield FieldChange(path.removeprefix("."), _as_json(before), _as_json(after))


def _is_named(value: Any) -> bool:
    """Whether a value is a list whose items have different names, such as containers."""
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        return False
    names = [one.get("name") for one in value]
    return bool(names) and None not in names and len(set(names)) == len(names)


def _by_name(items: Sequence[Json]) -> dict[str, Json]:
    return {str(one["name"]): one for one in items}


def _step(name: str) -> str:
    """Return the part of a path for one name, as the API server writes it."""
    return f"[{name}]" if "." in name or "/" in name else f".{name}"


def _as_json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def leaf_paths(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the fields that differ between two specs."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from leaf_paths(before.get(name), after.get(name), (*path, name))
    elif before != after:
        yield path


def value_at(spec: Any, path: Sequence[str]) -> Any:
    """Return a field of a spec; None if it is not set."""
    for name in path:
        spec = spec.get(name) if isinstance(spec, Mapping) else None
    return spec


def with_value(spec: Json, path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a spec with another value of a field; None removes it."""
    name, *rest = path
    if rest:
        inner = spec.get(name)
        value = with_value(inner if isinstance(inner, Mapping) else {}, rest, value)
    return {
        key: one for key, one in {**spec, name: value}.items() if key != name or one is not None
    }


def template_changes(name: str, before: Json, after: Json) -> list[str]:
    """Return the fields of a spec whose change alone changes the server pods.

    A field counts, too, if it cannot be changed alone.
    """
    found = []
    unchanged = rendered(name, before)
    for path in leaf_paths(before, after):
        only = rendered(name, with_value(before, path, value_at(after, path)))
        if only is None or only != unchanged:
            found.append("spec" + "".join(map(_step, path)))
    return found if rendered(name, after) != unchanged else []


def rendered(name: str, spec: Json, image: str = DEFAULT_IMAGE) -> str | None:
    """Return the hash of the server pods of a spec; None if the spec is not valid."""
    text = json.dumps(spec, sort_keys=True)
    try:
        is_valid = not any(violations(Spec.model_validate_json(text, extra="ignore")))
    except ValidationError:
        return None
    return spec_revision.rendered_hash(name, text, image) if is_valid else None


def scaling_range(spec: Json) -> tuple[int, int]:
    """Return the minimum and maximum number of replicas."""
    scaling = spec.get("scaling") or {}
    if spec.get("suspend"):
        return 0, 0
    if scaling.get("mode") == "Internal":
        return int(scaling.get("minReplicas", 1)), int(scaling.get("maxReplicas", 1))
    replicas = int(spec.get("replicas", 1))
    return replicas, replicas


def range_text(limits: tuple[int, int]) -> str:
    """Return a range of numbers as text."""
    minimum, maximum = limits
    return str(maximum) if minimum == maximum else f"{minimum} to {maximum}"
