"""Read a FlamingoDeployment that the API server accepted, even if not all of it can be read.

The CustomResourceDefinition may be of another release than the operator, so a field may be unknown,
a value of a kind that this release does not have, or a rule may not have been checked. Unknown
fields are ignored. What cannot be read is replaced, and reported:

- in blocks that say how to behave, such as `scaling`: the single value or list item, by the last
  readable one, or else by its default;
- in blocks that the server pods are made from: the whole block, by the last readable one, so that
  no server pod is replaced because of a value that cannot be read;
- in blocks that other objects are made from, such as `router`: the same, or, if this process never
  read the block, these objects are left as they are.

Pure.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flamingo_operator.api import spec
from flamingo_operator.api.spec import Fault, FlamingoDeployment, SpecError

BEHAVIOUR_BLOCKS = frozenset({"scaling", "rollout", "cost", "replicas", "paused", "suspend"})
OBJECT_BLOCKS = frozenset({"router", "batches", "monitoring", "networkPolicy"})
MAX_ROUNDS = 10
"""Replacing one value may show that another is wrong."""

Json: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
_MISSING = object()


@dataclass(frozen=True, slots=True)
class LastSpec:
    """The last spec that could be read."""

    spec: Mapping[str, Any]
    """Empty if there is none."""
    is_current: bool = False
    """Whether this process read it. Otherwise it is that of the newest revision, in which only the
    blocks that server pods are made from are certain to be the last ones."""
    num_replicas: int | None = None
    """The desired number of server pods, as last reported."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A FlamingoDeployment, as far as it could be read."""

    deployment: FlamingoDeployment
    unreadable: tuple[str, ...] = ()
    """What could not be read, why, and what is used instead."""
    holds_objects: bool = False
    """Whether the objects other than server pods must be left as they are."""


@dataclass(slots=True)
class _Repair:
    """A spec that is made readable."""

    spec: Json
    last: LastSpec
    messages: dict[Path, str] = field(default_factory=dict)
    holds_objects: bool = False

    def replace(self, fault: Fault) -> None:
        """Replace what cannot be read.

        Raises:
            LookupError: nothing can replace it.
        """
        if not fault.path or fault.path[0] != "spec":
            raise LookupError
        path = fault.path[1:]
        if not path:
            instead = self._replace_all()
        elif path[0] in BEHAVIOUR_BLOCKS:
            instead = self._replace_value(path)
        else:
            instead = self._replace_block(str(path[0]))
        self.messages.setdefault(fault.path, f"{fault}; {instead}")

    def _replace_all(self) -> str:
        if not self.last.is_current:
            raise LookupError
        self.spec = copy.deepcopy(dict(self.last.spec))
        return "the last valid spec is used"

    def _replace_block(self, block: str) -> str:
        if not self.last.spec:
            raise LookupError
        if self.last.is_current or block not in OBJECT_BLOCKS:
            if self.spec.get(block) == self.last.spec.get(block):
                raise LookupError
            self._set((block,), self.last.spec.get(block, _MISSING))
            return f"spec.{block} stays as it was"
        self.holds_objects = True
        self._set((block,), _MISSING)
        return "its objects are left as they are"

    def _replace_value(self, path: Path) -> str:
        if path[0] == "scaling" and path[1:] in ((), ("mode",)) and not self.last.is_current:
            return self._hold_replicas()
        item = _item_path(path)
        path = self._existing(item or path)
        value = _find(self.last.spec, path) if not item else self._find_named(path)
        if value is _MISSING or value == _find(self.spec, path):
            self._set(path, _MISSING)
            return "this item is ignored" if item else "the default is used"
        self._set(path, copy.deepcopy(value))
        return "the last readable value is used"

    def _hold_replicas(self) -> str:
        if self.last.num_replicas is None:
            raise LookupError
        self.spec["scaling"] = {"mode": "External"}
        self.spec["replicas"] = self.last.num_replicas
        return "the number of server pods stays as it is"

    def _existing(self, path: Path) -> Path:
        """Return the path, or that of the innermost part of it that exists."""
        while len(path) > 1 and _find(self.spec, path) is _MISSING:
            path = path[:-1]
        return path

    def _find_named(self, path: Path) -> Any:
        """Return the last readable item of the same name."""
        item, known = _find(self.spec, path), _find(self.last.spec, path[:-1])
        if not isinstance(item, dict) or not isinstance(known, list):
            return _MISSING
        same = (one for one in known if isinstance(one, dict) and one.get("name"))
        return next((one for one in same if one["name"] == item.get("name")), _MISSING)

    def _set(self, path: Path, value: Any) -> None:
        parent: Any = self.spec if len(path) == 1 else _find(self.spec, path[:-1])
        if value is not _MISSING:
            parent[path[-1]] = value
        elif isinstance(parent, list):
            del parent[int(path[-1])]
        else:
            parent.pop(path[-1], None)


def read(body: Mapping[str, Any], last: LastSpec | None = None) -> Reading:
    """Return the FlamingoDeployment in `body`, as far as it can be read.

    Raises:
        SpecError: there is nothing to use in place of what cannot be read.
    """
    found, faults = spec.validate(body)
    if found is not None:
        return Reading(found)
    first = [str(one) for one in faults]
    repair = _Repair(copy.deepcopy(dict(body.get("spec") or {})), last or LastSpec({}))
    for _ in range(MAX_ROUNDS):
        try:
            # From the last to the first, because removed list items shift those that follow.
            for fault in sorted(_distinct(faults), key=_order, reverse=True):
                repair.replace(fault)
        except LookupError:
            break
        found, faults = spec.validate({**body, "spec": repair.spec})
        if found is not None:
            messages = tuple(repair.messages[path] for path in sorted(repair.messages, key=str))
            return Reading(found, messages, repair.holds_objects)
    raise SpecError(first)


def _distinct(faults: list[Fault]) -> Iterator[Fault]:
    """Yield one fault for each list item, block or value that is replaced."""
    known: set[Path] = set()
    for fault in faults:
        path = fault.path[1:]
        is_value = path[:1] and path[0] in BEHAVIOUR_BLOCKS
        place = (_item_path(path) or path) if is_value else path[:1]
        if place not in known:
            known.add(place)
            yield fault


def _order(fault: Fault) -> list[tuple[bool, int, str]]:
    return [
        (isinstance(step, int), step if isinstance(step, int) else 0, str(step))
        for step in fault.path
    ]


def _item_path(path: Path) -> Path:
    """Return the path of the outermost list item on the way; empty if there is none."""
    index = next((at for at, step in enumerate(path) if isinstance(step, int)), None)
    return () if index is None else path[: index + 1]


def _find(value: Any, path: Path) -> Any:
    for step in path:
        try:
            value = value[step]
        except (LookupError, TypeError):
            return _MISSING
    return value
