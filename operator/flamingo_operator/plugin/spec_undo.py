"""The spec that has the pods of an earlier revision again, with the least change.

A revision stores the spec that it was rendered from. Of that, only what the pods need is restored:
every field that can keep its current value, without another pod and without an invalid spec, does.

Pure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flamingo_operator.cluster.observed import Revision
from flamingo_operator.plugin import spec_diff

Json: TypeAlias = Mapping[str, Any]

IMAGE = ("server", "image")


@dataclass(frozen=True, slots=True)
class _Goal:
    """The pods to return to, and the spec to keep of."""

    name: str
    current: Json
    pods: str
    image: str

    def keep_current(
        self, spec: Json, paths: Sequence[tuple[str, ...]]
    ) -> tuple[Json, list[tuple[str, ...]]]:
        """Return a spec with current values where they change no pod, and the other paths."""
        others = []
        for path in paths:
            changed = spec_diff.with_value(spec, path, spec_diff.value_at(self.current, path))
            if spec_diff.rendered(self.name, changed, self.image) == self.pods:
                spec = changed
            else:
                others.append(path)
        return spec, others


def spec_of_revision(name: str, current: Json, revision: Revision) -> Json | None:
    """Return the current spec with the pods of a revision; None if that stores no usable spec."""
    inputs = json.loads(revision.inputs or "{}")
    spec: Json | None = inputs.get("spec")
    image = inputs.get("serverImage", "")
    pods = spec_diff.rendered(name, spec, image) if spec else None
    if spec is None or pods is None:
        return None
    goal = _Goal(name, current, pods, image)
    blocks = ((block,) for block in sorted({*current, *spec}))
    paths: list[tuple[str, ...]] = [*blocks, *spec_diff.leaf_paths(spec, current)]
    while True:
        # A rule may let one field change only after another has.
        spec, others = goal.keep_current(spec, paths)
        if len(others) == len(paths):
            return spec
        paths = others


def pinned(spec: Json, revision: Revision) -> Json:
    """Return a spec that names the image of a revision, which another default would replace."""
    containers = json.loads(revision.template).get("spec", {}).get("containers", [])
    image = next((one["image"] for one in containers if one["name"] == "server"), None)
    return spec_diff.with_value(spec, IMAGE, image) if image else spec
