"""Labels and annotations that a user adds to objects of the operator.

Pure.
"""

from typing import ClassVar

from pydantic import Field

from flamingo_operator.api import fields, names
from flamingo_operator.api.rules import Block, Rule


def not_reserved(field: str) -> Rule:
    """Return the rule that a field's labels or annotations are none that the operator sets."""
    ours = names.RESERVED_PREFIXES
    return Rule(
        cel=f"!has(self.{field}) || !self.{field}.exists(k, "
        + " || ".join(f"k.startsWith('{prefix}')" for prefix in ours)
        + ")",
        message=f"{field} must not contain {' or '.join(f'{prefix}*' for prefix in ours)}, which"
        " the operator sets: remove them",
        field_path=f".{field}",
        holds=lambda self: not any(key.startswith(ours) for key in getattr(self, field)),
    )


class ObjectMetadata(Block):
    """ObjectMetadata is the base of blocks that describe one object of the operator."""

    RULES: ClassVar[tuple[Rule, ...]] = (not_reserved("labels"), not_reserved("annotations"))

    labels: fields.Labels = Field(default_factory=dict)
    """labels are added to the labels of the object."""
    annotations: fields.Annotations = Field(default_factory=dict)
    """annotations are added to the annotations of the object."""
