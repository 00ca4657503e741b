"""What to do, as values: they can be compared, shown (mode Plan) and logged before they are done.

Pure.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from flamingo_operator.cluster.observed import ObjectRef, Pod


@dataclass(frozen=True, slots=True)
class Apply:
    """Make an object what its manifest says, by server-side apply."""

    manifest: dict[str, Any]
    is_new: bool

    def __str__(self) -> str:
        verb = "create" if self.is_new else "update"
        return f"{verb} {self.manifest['kind']} {self.manifest['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Drain:
    """Take a pod out of rotation, until a moment."""

    pod: Pod
    started_s: float
    until_s: float

    def __str__(self) -> str:
        return f"drain Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class ExtendDrain:
    """Give a pod that drains until a later moment."""

    pod: Pod
    until_s: float

    def __str__(self) -> str:
        return f"extend the drain of Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class Undrain:
    """Put a pod that drains back into rotation: cheaper than a cold start."""

    pod: Pod

    def __str__(self) -> str:
        return f"undrain Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class Repair:
    """Give a pod back what ties it to its deployment and its Service."""

    pod: Pod
    owner: dict[str, Any]

    def __str__(self) -> str:
        return f"mend Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one object, and no other of its name."""

    ref: ObjectRef
    why: str
    grace_period_s: int | None = None
    """None: what the object itself says."""

    def __str__(self) -> str:
        return f"delete {self.ref.kind} {self.ref.name}: {self.why}"


Action: TypeAlias = Apply | Drain | ExtendDrain | Undrain | Repair | Delete
