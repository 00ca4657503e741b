"""Base of the blocks of the custom resource, and the validation rules between fields.

Every rule is written twice, in one place: as CEL, which the API server evaluates
when an object is written, and as a Python function, for the kubectl plugin, which may
have only a file. The tests compare the two.

Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on the fields of one block."""

    cel: str
    """`self` is the block, with its defaults filled in."""
    message: str
    """What is wrong, what is allowed, and what to do."""
    field_path: str = ""
    """The field of the block that is to be changed, such as `.minReplicas`."""
    holds: Callable[[Any], bool] | None = None
    """None if `cel` compares with the old object, which only the API server has."""

    def as_validation(self) -> dict[str, str]:
        """Return the rule as the schema of a CRD has it."""
        path = {"fieldPath": self.field_path} if self.field_path else {}
        return {"rule": self.cel, "message": self.message, **path}


def _add_rules(schema: dict[str, Any], kind: type["Block"]) -> None:
    if kind.RULES:
        schema["x-kubernetes-validations"] = [rule.as_validation() for rule in kind.RULES]


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


Path: TypeAlias = tuple[str | int, ...]


def violations(block: Block) -> Iterator[str]:
    """Yield path and message of each rule of `block`, or of a block in it, that is violated."""
    for path, rule in violated_rules(block):
        yield f"{path_text(path)}: {rule.message}" if path else rule.message


def violated_rules(block: Block, path: Path = ()) -> Iterator[tuple[Path, Rule]]:
    """Yield each rule of `block`, or of a block in it, that is violated, with the field's path."""
    for rule in block.RULES:
        if rule.holds is not None and not rule.holds(block):
            yield (*path, *filter(None, rule.field_path.split("."))), rule
    for name, alias in _fields(type(block)):
        value = getattr(block, name)
        if isinstance(value, Block):
            yield from violated_rules(value, (*path, alias))
        elif isinstance(value, list):
            for number, one in enumerate(value):
                if isinstance(one, Block):
                    yield from violated_rules(one, (*path, alias, number))


@cache
def _fields(kind: type[Block]) -> tuple[tuple[str, str], ...]:
    """Return the names of a block's fields, in Python and as a user writes them."""
    return tuple((name, info.alias or name) for name, info in kind.model_fields.items())


def path_text(path: Path) -> str:
    """Return a path as Kubernetes writes it, such as spec.server.env[0]."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
