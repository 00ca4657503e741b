"""Base of the blocks of the custom resource, and the validation rules between fields.

Every rule is written twice, in one place: as CEL, which the API server evaluates
when an object is written, and as a Python function, for the kubectl plugin, which may
have only a file. The tests compare the two.

Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on the fields of one block."""

    cel: str
    """`self` is the block, with its defaults filled in."""
    message: str
    """What is wrong, what is allowed, and what to do."""
    holds: Callable[[Any], bool] | None = None
    """None if `cel` compares with the old object, which only the API server has."""


def _add_rules(schema: dict[str, Any], kind: type["Block"]) -> None:
    if kind.RULES:
        schema["x-kubernetes-validations"] = [
            {"rule": rule.cel, "message": rule.message} for rule in kind.RULES
        ]


class Block(BaseModel):
    """Base of all blocks that a user writes: camelCase, strict types, no unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra=_add_rules,
        strict=True,
        use_attribute_docstrings=True,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()


def violations(block: Block, path: str = "") -> Iterator[str]:
    """Yield path and message of each rule of `block`, or of a block in it, that is violated."""
    for rule in block.RULES:
        if rule.holds is not None and not rule.holds(block):
            yield f"{path}: {rule.message}" if path else rule.message
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        inner_path = f"{path}.{field.alias}".removeprefix(".")
        if isinstance(value, Block):
            yield from violations(value, inner_path)
        elif isinstance(value, list):
            for number, one in enumerate(value):
                if isinstance(one, Block):
                    yield from violations(one, f"{inner_path}[{number}]")
