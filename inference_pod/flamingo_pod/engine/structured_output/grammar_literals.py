"""The text that a grammar spells out: the choices, the strings of a schema, the literals of a rule.

An answer must not contain a control token any more than a prompt, so what a grammar demands is
searched for them. Literals are found in the grammar's own syntax; where one is written in another
way (`[<]sound>`), the engine refuses it at the token.

Pure.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec

NAMED = frozenset({"properties", "$defs", "definitions", "dependentSchemas", "patternProperties"})
"""Keywords whose value has schemas by name."""
NOT_ENFORCED = frozenset({"default", "examples", "x-guidance"})
# Ends are optional: a text without them would be searched for them again and again.
_PATTERN_PIECE = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]?|\\(?P<escaped>.)|(?P<plain>.)", re.DOTALL)
_ENDS_RUN = frozenset("^$.|()?*+{}")
_GRAMMAR_PIECE = re.compile(
    r'(?P<string>"(?:[^"\\\n]|\\.)*"?)|(?P<comment>(?://|#)[^\n]*)'
    r"|/(?P<pattern>(?:[^/\\\n]|\\.)+)/?|(?P<other>[^\"/#]+|.)",
    re.DOTALL,
)


def literals(spec: GrammarSpec) -> Iterator[tuple[str, str]]:
    """Yield the field and the text of each literal of a spec that has been compiled."""
    for number, choice in enumerate(spec.choices):
        yield f"{spec.field}[{number}]", choice
    for part in (spec, *spec.parts):
        yield from ((part.field, text) for text in _of_text(part))


def _of_text(spec: GrammarSpec) -> Iterator[str]:
    text = spec.text or ""
    if spec.kind == "json_schema":
        yield from _of_schema(json.loads(text))
    elif spec.kind == "regex":
        yield from _of_pattern(text)
    elif spec.kind == "grammar":
        yield from _of_grammar(text)


def _of_schema(schema: object) -> Iterator[str]:
    """Yield what a schema's text must or may contain; descriptions are not part of it."""
    if isinstance(schema, list):
        for each in schema:
            yield from _of_schema(each)
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        yield from _of_keyword(keyword, value)


def _of_keyword(keyword: str, value: object) -> Iterator[str]:
    if keyword in ("enum", "const", "required"):
        yield from _strings(value)
    elif keyword == "pattern" and isinstance(value, str):
        yield from _of_pattern(value)
    elif keyword in NAMED and isinstance(value, dict):
        yield from _of_named(keyword, value)
    elif keyword not in NOT_ENFORCED:
        yield from _of_schema(value)


def _of_named(keyword: str, schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        if keyword == "properties":
            yield name
        elif keyword == "patternProperties":
            yield from _of_pattern(name)
        yield from _of_schema(schema)


def _strings(value: object) -> Iterator[str]:
    """Yield all strings of a JSON value, with the names of its properties."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


def _of_pattern(pattern: str) -> Iterator[str]:
    """Yield the runs of literal characters in a regular expression."""
    run = ""
    for piece in _PATTERN_PIECE.finditer(pattern):
        escaped, plain = piece["escaped"], piece["plain"]
        literal = escaped if escaped and not escaped.isalnum() else plain
        if literal is None or (plain and plain in _ENDS_RUN):
            yield run
            run = ""
        else:
            run += literal
    yield run


def _of_grammar(text: str) -> Iterator[str]:
    """Yield the strings, the patterns and the rest of a grammar in Lark's or GBNF's syntax."""
    for piece in _GRAMMAR_PIECE.finditer(text):
        if piece["string"]:
            yield _unescaped(piece["string"])
        elif piece["pattern"]:
            yield from _of_pattern(piece["pattern"])
        elif piece["other"]:
            yield piece["other"]


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(string))
    except ValueError:
        return string
