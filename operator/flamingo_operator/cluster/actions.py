"""Actions as values, which can be compared, logged, and shown in a plan without being done.

Pure.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flamingo_operator.cluster.observed import ObjectRef, Pod


@dataclass(frozen=True, slots=True)
class Apply:
    """Create an object, or update it by server-side apply."""

    manifest: dict[str, Any]
    is_new: bool
    initial: dict[str, Any] = field(default_factory=dict)
    """Fields that are set if the object does not exist, and are left to other managers then."""
    released: dict[str, Any] = field(default_factory=dict)
    """Fields of an existing object that are left to other managers from now on, with their values:
    a field without a manager would be reset to its default."""
    replaces: ObjectRef | None = None
    """The object of another FlamingoDeployment that is taken over, exactly as it was observed."""

    def __str__(self) -> str:
        verb = "create" if self.is_new else "take over" if self.replaces else "update"
        return f"{verb} {self.manifest['kind']} {self.manifest['metadata']['name']}"


@dataclass(frozen=True, slots=True)
class Drain:
    """Remove a pod from its Service and let it finish its requests, until a deadline."""

    pod: Pod
    started_s: float
    until_s: float

    def __str__(self) -> str:
        return f"drain Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class ExtendDrain:
    """Move the deadline of a draining pod to a later time."""

    pod: Pod
    until_s: float

    def __str__(self) -> str:
        return f"extend the drain of Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class Undrain:
    """Put a draining pod back into its Service, which is cheaper than a cold start."""

    pod: Pod

    def __str__(self) -> str:
        return f"undrain Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class Repair:
    """Restore a pod's owner reference and its serving label."""

    pod: Pod
    owner: dict[str, Any]

    def __str__(self) -> str:
        verb = "repair" if self.pod.ref.owner_uid else "adopt"
        return f"{verb} Pod {self.pod.ref.name}"


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this object, and no other of the same name."""

    ref: ObjectRef
    reason: str
    grace_period_s: int | None = None
    """None: the grace period in the object's own spec."""

    def __str__(self) -> str:
        return f"delete {self.ref.kind} {self.ref.name}: {self.reason}"


Action: TypeAlias = Apply | Drain | ExtendDrain | Undrain | Repair | Delete
