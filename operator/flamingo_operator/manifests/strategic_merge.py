"""Merge a patch into a manifest as `kubectl patch --type=strategic` does.

How it works. Objects are merged field by field. A list is replaced, unless its schema has the
patch strategy `merge`: then its items are merged by their merge key, such as the name of a
container, the mountPath of a volume mount or the containerPort of a port. The order is the API
server's: items of the patch keep the order of the patch, the others keep theirs, and an item
that only the patch has comes first. In lists with the strategy `retainKeys` (volumes and
resource claims) an item loses the fields that its patch does not have, as with `kubectl apply`,
so that a volume's source can be replaced.

Directives such as `$patch: delete` are not supported: a schema in a CRD has no place for them,
and the API server refuses them as unknown fields.

Pure.
"""

from collections.abc import Mapping
from typing import Any

from flamingo_operator.api import pod_schema
from flamingo_operator.api.pod_schema import Schema


def merge(node: Schema, base: Any, patch: Any) -> Any:
    """Return `base` with `patch` merged into it; `node` is the schema of both."""
    node = pod_schema.resolve(node)
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        return _merge_objects(node, base, patch)
    strategy = node.get(pod_schema.PATCH_STRATEGY, "").split(",")
    if isinstance(base, list) and isinstance(patch, list) and "merge" in strategy:
        return _merge_lists(node, base, patch, retains_keys="retainKeys" in strategy)
    return patch


def _merge_objects(
    node: Schema, base: Mapping[str, Any], patch: Mapping[str, Any]
) -> dict[str, Any]:
    merged = dict(base)
    for name, value in patch.items():
        inner = _field(node, name)
        merged[name] = merge(inner, base[name], value) if name in base else value
    return merged


def _field(node: Schema, name: str) -> Schema:
    """Return the schema of a field; one that is unknown here is replaced as a whole."""
    found: Schema = node.get("properties", {}).get(name) or node.get("additionalProperties") or {}
    return found


def _merge_lists(
    node: Schema, base: list[Any], patch: list[Any], *, retains_keys: bool
) -> list[Any]:
    key = node[pod_schema.PATCH_MERGE_KEY]
    merged = list(base)
    for item in patch:
        index = _index(merged, key, item)
        if index == len(merged):
            merged.append(item)
            continue
        found = merged[index]
        if retains_keys:
            found = {name: value for name, value in found.items() if name in item}
        merged[index] = merge(node["items"], found, item)
    return _in_order(merged, base, patch, key)


def _index(items: list[Any], key: str, wanted: Any) -> int:
    """Return the index of the first item with the key of `wanted`, else the number of items."""
    found = (index for index, item in enumerate(items) if item[key] == wanted[key])
    return next(found, len(items))


def _in_order(merged: list[Any], base: list[Any], patch: list[Any], key: str) -> list[Any]:
    """Return merged items: those of the patch in its order, the others where `base` has them."""
    is_patched = [_index(patch, key, item) < len(patch) for item in merged]
    patched = [item for item, is_one in zip(merged, is_patched, strict=True) if is_one]
    others = [item for item, is_one in zip(merged, is_patched, strict=True) if not is_one]
    ordered: list[Any] = []
    for item in sorted(patched, key=lambda one: _index(patch, key, one)):
        place = _index(base, key, item)
        while others and place < len(base) and _index(base, key, others[0]) < place:
            ordered.append(others.pop(0))
        ordered.append(item)
    return ordered + others
