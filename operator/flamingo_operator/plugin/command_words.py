"""The words of the commands: their options, arguments and choices, from the functions' signatures.

Pure.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo


@dataclass(frozen=True, slots=True)
class ParameterWords:
    """One option or argument of a command."""

    name: str
    """The name of the function's parameter."""
    flags: tuple[str, ...]
    """Such as --namespace and -n; none for an argument."""
    description: str
    choices: tuple[str, ...]
    is_switch: bool
    """Whether it has no value."""


@dataclass(frozen=True, slots=True)
class CommandWords:
    """One command."""

    name: str
    description: str
    parameters: tuple[ParameterWords, ...]

    @property
    def options(self) -> list[ParameterWords]:
        """The options."""
        return [one for one in self.parameters if one.flags]

    @property
    def arguments(self) -> list[ParameterWords]:
        """The arguments, in order."""
        return [one for one in self.parameters if not one.flags]

    def option(self, flag: str) -> ParameterWords | None:
        """Return the option that a flag belongs to."""
        return next((one for one in self.parameters if flag in one.flags), None)


def describe(functions: Iterable[Callable[..., Any]]) -> list[CommandWords]:
    """Return the words of commands."""
    return [
        CommandWords(
            one.__name__, (inspect.getdoc(one) or "").partition("\n")[0], tuple(_parameters(one))
        )
        for one in functions
    ]


def _parameters(function: Callable[..., Any]) -> Iterable[ParameterWords]:
    for name, hint in get_type_hints(function, include_extras=True).items():
        info = next(
            (one for one in get_args(hint) if isinstance(one, ArgumentInfo | OptionInfo)), None
        )
        if info is None:
            continue
        types = _types(hint)
        yield ParameterWords(
            name=name,
            flags=_flags(info) if isinstance(info, OptionInfo) else (),
            description=str(info.help or ""),
            choices=tuple(str(one) for kind in types if issubclass(kind, StrEnum) for one in kind),
            is_switch=bool in types,
        )


def _flags(info: OptionInfo) -> tuple[str, ...]:
    # In an annotation typer takes the first flag for the default, and sorts that out later.
    return tuple(one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str))


def _types(hint: Any) -> list[type]:
    """Return the types in an annotation."""
    if isinstance(hint, type):
        return [hint]
    return [found for one in get_args(hint) for found in _types(one)]
