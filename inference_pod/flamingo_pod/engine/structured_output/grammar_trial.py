"""Compile one grammar in a process of its own, under CPU and memory limits.

    python -P -m flamingo_pod.engine.structured_output.grammar_trial < request.json

llguidance limits each step of a grammar, but not its compilation: thirty `pattern`s under one
`allOf` took six minutes and 20 GB, `multipleOf` 999983 six seconds, the regular expression
`(a{1000}){1000}` four (llguidance 1.9.1). None can be interrupted, and running out of memory kills
the process. So every new grammar is first compiled here, under the kernel's limits, for a
vocabulary of single bytes that costs nothing to set up. The process reads a JSON object with
`syntax`, `text` and `options`, and writes one with `error`, why the grammar is rejected or null,
and `lark`: a grammar in GBNF's syntax, converted.

It imports nothing but llguidance, because each import costs time for each grammar.
"""

import json
import re
import resource
import sys
from collections.abc import Mapping
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark

MAX_CPU_S = 2
"""Including 0.05 s to start; a schema with 1,400 properties takes 0.1 s."""
MAX_BYTES = 2**30
MAX_STACK_BYTES = 4 * 2**20
"""Half of the stack of a thread in the pod: what passes here is safe there."""
MAX_ERROR_CHARS = 200
MAX_LEXER_STATES = 50_000
"""About five for each character of a string with a `maxLength`: enough for 10,000 characters. Of a
hostile pattern they take 4 MB, and at most 3 ms of a step."""
TOO_COMPLEX = "it is too complex, or nothing satisfies it"
UNSUPPORTED = re.compile(r"Unimplemented keys: \[(.*)\]")
POINTER = re.compile(r"Pointer '(.*)' does not exist")
WRONG_NUMBER = re.compile(r"Expected (f64|positive integer) for '([^']*)'")
SOURCE_LINE = re.compile(r"^ *(\d+ \| .*|\^+)$")
"""A line of an error that repeats the grammar, or points into it."""
REGEX_ECHO = re.compile(r"^.*\(in regex\): |( in)? regex /.*/$")
"""What surrounds the reason in an error about a regular expression."""


def compile_grammar(
    tokenizer: LLTokenizer, syntax: str, text: str, options: Mapping[str, Any]
) -> LLMatcher:
    """Return the grammar's matcher, at its start; `options` are those of JSON.

    Raises:
        ValueError: in one short line, why the grammar cannot be compiled.
    """
    limits = LLParserLimits(
        max_lexer_states=MAX_LEXER_STATES,
        max_grammar_size=100_000,
        precompute_large_lexemes=False,  # no limit applies there
        verbose_errors=False,
    )
    matcher = LLMatcher(tokenizer, _definition(syntax, text, options), log_level=0, limits=limits)
    if not matcher.is_error():
        matcher.compute_bitmask()  # finds a grammar that nothing satisfies
    if error := matcher_error(matcher):
        raise ValueError(error)
    if syntax == "lark" and (warnings := matcher.get_grammar_warnings()):
        raise ValueError(_shortened(warnings[0]))  # a part that would be ignored
    return matcher


def _definition(syntax: str, text: str, options: Mapping[str, Any]) -> str:
    if syntax == "json_schema":
        return LLMatcher.grammar_from_json_schema(text, overrides=dict(options))  # type: ignore[arg-type]
    return LLMatcher.grammar_from_regex(text) if syntax == "regex" else text


def matcher_error(matcher: LLMatcher) -> str | None:
    """Return the matcher's error in one short line, or None."""
    error = matcher.get_error().removesuffix("<non-verbose/>")
    if not error:
        return None
    lines = [line for line in error.splitlines() if not SOURCE_LINE.match(line)]
    for line in lines:
        if line.startswith("error: "):  # of the library of regular expressions
            return _shortened("invalid pattern: " + line.removeprefix("error: "))
    reason = REGEX_ECHO.sub("", " ".join(lines)).partition("; following special tokens")[0]
    if (plain := _plain_reason(reason)) is not None:
        return plain
    # These describe the library's internals; all others describe the grammar.
    if any(word in reason for word in ("panic", "lexer", "Parser", "parser error", "NoExtension")):
        return TOO_COMPLEX
    return _shortened(reason)


def _plain_reason(reason: str) -> str | None:
    """Return an error about a JSON schema in the schema's own terms; None: it already is."""
    if found := UNSUPPORTED.match(reason):
        names = found[1].replace('"', "")
        noun, verb = ("keywords", "are") if "," in names else ("keyword", "is")
        return _shortened(f"the {noun} {names} {verb} not supported")
    if "Default retriever" in reason:
        return "a $ref to another document is not supported; put what it refers to under $defs"
    if reason.startswith("oneOf constraints are not supported"):
        return "oneOf is supported only if its schemas exclude each other; use anyOf"
    if found := POINTER.match(reason):
        return _shortened(f"the $ref #{found[1]} refers to nothing in the schema")
    if found := WRONG_NUMBER.match(reason):
        kind = "a number" if found[1] == "f64" else "a non-negative integer"
        return _shortened(f"{found[2]} must be {kind}")
    return "multipleOf must be above 0" if reason == "invalid multiple of" else None


def _shortened(text: str) -> str:
    return " ".join(text.split())[:MAX_ERROR_CHARS]


def _converted(gbnf: str) -> str:
    """Return a GBNF grammar in Lark's syntax.

    Raises:
        ValueError: in one short line, what is wrong with it.
    """
    try:
        return gbnf_to_lark(gbnf)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - the library raises bare exceptions
        raise ValueError(_shortened(str(error))) from None


def main() -> None:
    """Compile the grammar on standard input; write its error to standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_STACK, (MAX_STACK_BYTES, MAX_STACK_BYTES))
    request, error, lark = json.load(sys.stdin), None, None
    syntax, text = request["syntax"], request["text"]
    try:
        if syntax == "gbnf":
            syntax, text = "lark", (lark := _converted(text))
        compile_grammar(LLTokenizer("byte"), syntax, text, request["options"])
    except ValueError as rejected:
        error = str(rejected)
    json.dump({"error": error, "lark": lark}, sys.stdout)


if __name__ == "__main__":
    main()
