"""Tools: the functions that a chat offers to the model, and which of them it must or may call.

A request names the function, requires any, forbids all, or leaves it to the model, which not every
server allows: models for audio were not trained to decide.

Pure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from flamingo_common.errors import BadRequest
from flamingo_common.wire import message_parameters
from flamingo_common.wire.parameters import Table
from flamingo_common.wire.request_body import RequestBody

MAX_TOOLS = 128
MAX_DESCRIPTION_CHARS = 16_384
MAX_ARGUMENTS_CHARS = 100_000
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class FunctionDefinition(RequestBody):
    """A function that the model can call."""

    table: ClassVar[Table] = message_parameters.FUNCTION

    name: FunctionName
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)] | None = None
    """What it does; part of the prompt."""
    parameters: dict[str, Any] | None = None
    """JSON schema of its arguments, always enforced. Unset: it has none."""


class FunctionTool(RequestBody):
    """A function, as a tool."""

    table: ClassVar[Table] = message_parameters.TOOL

    type: Literal["function"]
    function: FunctionDefinition


class FunctionRef(RequestBody):
    """The name of a function."""

    table: ClassVar[Table] = message_parameters.FUNCTION_REF

    name: FunctionName


class NamedTool(RequestBody):
    """A tool, by the name of its function."""

    table: ClassVar[Table] = message_parameters.NAMED_TOOL

    type: Literal["function"]
    function: FunctionRef


class AllowedTools(RequestBody):
    """Some of the tools, and whether one of them is called."""

    table: ClassVar[Table] = message_parameters.ALLOWED_TOOLS

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS)]


class AllowedToolsChoice(RequestBody):
    """A choice among some of the tools."""

    table: ClassVar[Table] = message_parameters.ALLOWED_TOOLS_CHOICE

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class CalledFunction(RequestBody):
    """A call in an earlier message of the assistant."""

    table: ClassVar[Table] = message_parameters.CALLED_FUNCTION

    name: FunctionName
    arguments: Annotated[str, Field(max_length=MAX_ARGUMENTS_CHARS)]
    """JSON text, which may be incomplete."""


class ToolCall(RequestBody):
    """A call of a tool in an earlier message of the assistant."""

    table: ClassVar[Table] = message_parameters.TOOL_CALL

    type: Literal["function"]
    function: CalledFunction


def _choice_tag(choice: object) -> str:
    """Return the union branch of `choice`, so that an error is reported once, not per branch."""
    if not isinstance(choice, (dict, RequestBody)):
        return "word"
    kind = choice.get("type") if isinstance(choice, dict) else getattr(choice, "type", None)
    return "allowed" if kind == "allowed_tools" else "named"


Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS)]
Functions = Annotated[list[FunctionDefinition], Field(max_length=MAX_TOOLS)]
ToolCalls = Annotated[list[ToolCall], Field(max_length=MAX_TOOLS)]
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("word")]
    | Annotated[NamedTool, Tag("named")]
    | Annotated[AllowedToolsChoice, Tag("allowed")],
    Discriminator(_choice_tag),
]
FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("word")] | Annotated[FunctionRef, Tag("named")],
    Discriminator(_choice_tag),
]


@dataclass(frozen=True, slots=True)
class Offered:
    """A function of a request, and the field that defines it."""

    function: FunctionDefinition
    field: str


@dataclass(frozen=True, slots=True)
class ForcedCall:
    """The call that an answer must be."""

    offered: Sequence[Offered]
    """All functions of the request, which the prompt describes."""
    callable: Sequence[Offered]
    """Those of which the answer calls one."""
    is_named: bool
    """Whether the request names the function, rather than requiring any call."""
    is_legacy: bool = False
    """Whether it is a call of `functions`, rather than of `tools`."""


@dataclass(frozen=True, slots=True)
class OptionalCall:
    """The calls that the model may make, or answer with text."""

    offered: Sequence[Offered]
    """All functions of the request, which the prompt describes."""
    callable: Sequence[Offered]
    """Those that can be called."""
    is_parallel: bool = True
    """Whether an answer may have several calls."""
    is_legacy: bool = False
    """Whether they are calls of `functions`, rather than of `tools`."""


Call = ForcedCall | OptionalCall


def tool_call(
    tools: Sequence[FunctionTool] | None,
    choice: ToolChoice | None,
    *,
    is_parallel: bool = True,
) -> Call | None:
    """Return the call that `tools` and `tool_choice` demand or allow; None: the answer is text.

    Raises:
        BadRequest: the choice does not fit the tools.
    """
    offered = list(_offered([tool.function for tool in tools or ()], "tools[{}].function"))
    mode = choice.allowed_tools.mode if isinstance(choice, AllowedToolsChoice) else choice
    if mode == "none" or (mode in (None, "auto") and not offered):
        return None
    if not offered:
        raise BadRequest("tool_choice demands a call, but there are no tools", param="tool_choice")
    match choice:
        case NamedTool():
            allowed = [(choice.function.name, "tool_choice.function.name")]
        case AllowedToolsChoice():
            path = "tool_choice.allowed_tools.tools[{}].function.name"
            names = [tool.function.name for tool in choice.allowed_tools.tools]
            allowed = [(name, path.format(number)) for number, name in enumerate(names)]
        case _:
            allowed = [(each.function.name, "") for each in offered]
    called = [_find(offered, name, field) for name, field in dict(allowed).items()]
    if mode in (None, "auto"):
        return OptionalCall(offered, called, is_parallel)
    return ForcedCall(offered, called, is_named=isinstance(choice, NamedTool))


def function_call(
    functions: Sequence[FunctionDefinition] | None, choice: FunctionChoice | None
) -> Call | None:
    """Return the call that `functions` and `function_call` demand or allow, of older clients.

    Raises:
        BadRequest: the choice does not fit the functions.
    """
    offered = list(_offered(functions or (), "functions[{}]"))
    if isinstance(choice, FunctionRef):
        called = _find(offered, choice.name, "function_call.name")
        return ForcedCall(offered, [called], is_named=True, is_legacy=True)
    if choice == "none" or not offered:
        return None
    return OptionalCall(offered, offered, is_parallel=False, is_legacy=True)


def _offered(functions: Sequence[FunctionDefinition], path: str) -> Iterator[Offered]:
    seen: set[str] = set()
    for number, function in enumerate(functions):
        field = path.format(number)
        if function.name in seen:
            raise BadRequest(
                f"the name {function.name} is used twice; names have to be unique",
                param=f"{field}.name",
            )
        seen.add(function.name)
        yield Offered(function, field)


def _find(offered: Sequence[Offered], name: str, field: str) -> Offered:
    for each in offered:
        if each.function.name == name:
            return each
    names = ", ".join(each.function.name for each in offered[:8]) or "none"
    raise BadRequest(f"the function {name} is not offered; offered: {names}", param=field)
