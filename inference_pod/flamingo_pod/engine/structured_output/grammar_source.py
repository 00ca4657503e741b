"""What a request wants its output to be, and the text of the grammar that says so.

A request names a JSON schema, a regular expression, a list of choices, a grammar in Lark's or in
GBNF's syntax, or functions to call. `source` checks sizes and depths, before anything walks them,
and returns one text in one of the syntaxes that llguidance reads.

Pure.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from flamingo_common.errors import BadRequest

MAX_BYTES = 64 * 1024
"""Of a schema, a regular expression, a grammar, or the schemas of all functions together."""
MAX_CHOICES = 10_000
MAX_CHOICES_BYTES = 128 * 1024
MAX_DEPTH = 64
"""Of braces and brackets; one level of an object takes two. llguidance's own limit is 128."""
ANY_OBJECT = '{"type": "object"}'
JSON_OPTIONS: Mapping[str, Any] = {
    "whitespace_flexible": True,
    # Bounded, or a confused model emits whitespace until max_tokens.
    "whitespace_pattern": r"[ \n\r\t]{1,32}",
    "item_separator": ",",
    "key_separator": ":",
    "lenient": False,
    "coerce_one_of": False,
}
"""All are set, because a schema may override them under `x-guidance`."""
COMPACT_OPTIONS: Mapping[str, Any] = {
    **JSON_OPTIONS,
    "whitespace_flexible": False,
    "whitespace_pattern": None,
}
CALL_OPTIONS: Mapping[str, Any] = {
    **COMPACT_OPTIONS,
    # As the prompt writes earlier calls, and as the model was trained.
    "item_separator": ", ",
    "key_separator": ": ",
}

Kind = Literal["json_object", "json_schema", "regex", "choice", "grammar", "call", "tool_call"]
Syntax = Literal["json_schema", "regex", "lark", "gbnf"]
NOUNS: Mapping[Kind, str] = {
    "json_object": "JSON schema",
    "json_schema": "JSON schema",
    "regex": "regular expression",
    "choice": "list of choices",
    "grammar": "grammar",
    "call": "function call",
    "tool_call": "function call",
}
"""A `call` continues what the prompt begins, a `tool_call` is all between the marks of a call."""
AFTER_ARGUMENTS = "}\n"
"""What stands between the arguments of a call and its closing mark. Arguments have no line ends."""
META_CHARACTERS = frozenset("\\.+*?()|[]{}^$#&-~")
LARK_START = re.compile(r"^\s*(%llguidance\b|start\s*(\[[^\]\n]*\])?\s*:(?!:=))", re.MULTILINE)
LARK_TOKEN_ID = re.compile(r"<\[[\d\s,^-]*\]>")
LARK_TEMPERATURE = re.compile(r"^\s*[?!]?\w+\s*\[[^\]\n]*\btemperature\s*=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function that the output may call."""

    name: str
    """Letters, digits, `_` and `-` only."""
    parameters: str
    """JSON schema of its arguments, as JSON text."""
    field: str = "tools"
    """The request's field that has the schema."""


@dataclass(frozen=True, slots=True)
class GrammarSpec:
    """The requested format of an output, and the field of the request that set it."""

    kind: Kind
    text: str | None = None
    """The schema as JSON text, the regular expression or the grammar."""
    field: str = "response_format"
    choices: Sequence[str] = ()
    functions: Sequence[FunctionSpec] = ()
    """Of these the output calls one."""
    is_compact: bool = False
    """Whether JSON has no optional whitespace."""

    @property
    def parts(self) -> "Sequence[GrammarSpec]":
        """Specs of which each has to be valid by itself; an error in one is that one's."""
        return [
            GrammarSpec("json_schema", function.parameters, function.field)
            for function in self.functions
        ]

    def error(self, reason: str) -> BadRequest:
        """Return the error of a spec that cannot be enforced."""
        noun = NOUNS[self.kind]
        return BadRequest(f"the {noun} cannot be enforced: {reason}", param=self.field)


@dataclass(frozen=True, slots=True)
class GrammarSource:
    """The text of a grammar."""

    syntax: Syntax
    text: str
    is_compact: bool = False
    """Whether JSON has no optional whitespace; for `json_schema` only."""


def source(spec: GrammarSpec) -> GrammarSource:
    """Return the grammar's text.

    Raises:
        BadRequest: the spec is too large, too deep or malformed.
    """
    match spec.kind:
        case "json_object":
            return GrammarSource("json_schema", ANY_OBJECT, spec.is_compact)
        case "json_schema":
            schema = json.dumps(_parsed_schema(spec))
            return GrammarSource("json_schema", schema, spec.is_compact)
        case "regex":
            return GrammarSource("regex", _checked_text(spec))
        case "choice":
            return GrammarSource("regex", _any_of(spec))
        case "grammar":
            return _grammar(spec)
        case "call" | "tool_call":
            return GrammarSource("lark", _call(spec))


def call_text(name: str) -> str:
    """Return what precedes the arguments in the output, where the output names the function."""
    return f' "{name}", "arguments": '


def _checked_text(spec: GrammarSpec, max_bytes: int = MAX_BYTES) -> str:
    text = spec.text or ""
    _check_size(spec, len(text.encode(errors="replace")), max_bytes)
    if _has_surrogate(text):
        raise spec.error("it is not valid Unicode")
    return text


def _check_size(spec: GrammarSpec, num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise spec.error(f"it is larger than {max_bytes} bytes")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _any_of(spec: GrammarSpec) -> str:
    """Return the choices as a regular expression; as terminals they would be too many."""
    if len(spec.choices) > MAX_CHOICES:
        raise spec.error(f"it has {len(spec.choices)} choices; the maximum is {MAX_CHOICES}")
    _check_size(
        spec, sum(len(one.encode(errors="replace")) for one in spec.choices), MAX_CHOICES_BYTES
    )
    if any(_has_surrogate(choice) for choice in spec.choices):
        raise spec.error("it is not valid Unicode")
    return "|".join("".join(map(_literal, choice)) for choice in spec.choices)


def _literal(character: str) -> str:
    """Return a regular expression for one character."""
    if character in META_CHARACTERS:
        return "\\" + character
    return (
        character if character.isprintable() and character != "/" else f"\\x{{{ord(character):x}}}"
    )


def _grammar(spec: GrammarSpec) -> GrammarSource:
    text = _checked_text(spec)
    if not text.strip():
        raise spec.error("it is empty")
    if "::=" in text and not LARK_START.search(text):
        return GrammarSource("gbnf", text)
    if LARK_TOKEN_ID.search(text):
        raise spec.error("token ids such as <[5]> are not supported; write the text instead")
    if LARK_TEMPERATURE.search(text):
        raise spec.error("the temperature of a rule is not supported; set it for the request")
    return GrammarSource("lark", text)


def marked_call_text(name: str) -> str:
    """Return what stands between the opening mark of a call and its arguments."""
    return '\n{"name":' + call_text(name)


def _call(spec: GrammarSpec) -> str:
    """Return a Lark grammar of one call.

    Of a `call` the prompt ends with `{"name": "f", "arguments":`, or with `{"name":` where the
    output chooses the function.
    """
    num_bytes = sum(len(each.parameters.encode(errors="replace")) for each in spec.functions)
    if num_bytes > MAX_BYTES:
        raise spec.error(f"the parameters are larger than {MAX_BYTES} bytes together")
    numbers = range(len(spec.functions))
    schemas = [_parsed_schema(part) | {"x-guidance": dict(CALL_OPTIONS)} for part in spec.parts]
    lines = ["start: " + " | ".join(f"call{number}" for number in numbers)]
    for number, function, schema in zip(numbers, spec.functions, schemas, strict=True):
        before, after = " " if len(spec.functions) == 1 else call_text(function.name), ""
        if spec.kind == "tool_call":
            before, after = marked_call_text(function.name), AFTER_ARGUMENTS
        behind = f" {json.dumps(after)}" if after else ""
        lines.append(f"call{number}: {json.dumps(before)} arguments{number}{behind}")
        lines.append(f"arguments{number}: %json {json.dumps(schema)}")
    return "\n".join(lines)


def _parsed_schema(spec: GrammarSpec) -> dict[str, Any]:
    """Return the schema without duplicate keys.

    Size and depth are checked first, before anything walks it.
    """
    schema = spec.text
    if not schema:
        raise spec.error("it is empty")
    _check_size(spec, len(schema.encode(errors="replace")), MAX_BYTES)
    try:
        parsed = json.loads(schema, parse_constant=_reject_constant)
    except RecursionError:
        raise spec.error(f"it is nested deeper than {MAX_DEPTH}") from None
    except ValueError:
        raise spec.error("it is not valid JSON") from None
    if not isinstance(parsed, dict):
        raise spec.error("it is not a JSON object")
    if _depth(parsed) > MAX_DEPTH:
        raise spec.error(f"it is nested deeper than {MAX_DEPTH}")
    return parsed


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _depth(value: object) -> int:
    """Return the nesting depth of braces and brackets, without recursion."""
    depth, level = 0, [value]
    while level := [item for container in level for item in _items(container)]:
        depth += 1
    return depth


def _items(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
