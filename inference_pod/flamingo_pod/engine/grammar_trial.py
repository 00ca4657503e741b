"""Compile one schema in a process of its own, under CPU and memory limits.

    python -P -m flamingo_pod.engine.grammar_trial < schema.json

llguidance limits each step of a grammar, but not its compilation: thirty `pattern`s under one
`allOf` took six minutes and 20 GB, `multipleOf` 999983 six seconds (llguidance 1.9.1). Neither
can be interrupted, and running out of memory kills the process. So every new schema is first
compiled here, under the kernel's limits, for a vocabulary of single bytes that costs nothing to
set up. The process writes one line: why the schema is rejected, or nothing.

It imports nothing but llguidance, because each import costs time for each schema.
"""

import resource
import sys

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

MAX_CPU_S = 2
"""Including 0.05 s to start; a schema with 1,400 properties takes 0.1 s."""
MAX_BYTES = 2**30
MAX_STACK_BYTES = 4 * 2**20
"""Half of the stack of a thread in the pod: what passes here is safe there."""
MAX_ERROR_CHARS = 200
OPTIONS = {
    "whitespace_flexible": True,
    # Bounded, or a confused model emits whitespace until max_tokens.
    "whitespace_pattern": r"[ \n\r\t]{1,32}",
    "item_separator": ",",
    "key_separator": ":",
    "lenient": False,
    "coerce_one_of": False,
}
"""All are set, because a schema may override them under `x-guidance`."""


def compile_schema(tokenizer: LLTokenizer, schema: str) -> LLMatcher:
    """Return the schema's matcher, at its start.

    Raises:
        ValueError: in one short line, why the schema cannot be compiled.
    """
    limits = LLParserLimits(
        max_lexer_states=20_000,
        max_grammar_size=100_000,
        precompute_large_lexemes=False,  # no limit applies there
        verbose_errors=False,
    )
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides=OPTIONS)  # type: ignore[arg-type]
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    if not matcher.is_error():
        matcher.compute_bitmask()  # finds a schema that nothing satisfies
    if error := matcher_error(matcher):
        raise ValueError(error)
    return matcher


def matcher_error(matcher: LLMatcher) -> str | None:
    """Return the matcher's error in one short line, or None."""
    error = matcher.get_error().removesuffix("<non-verbose/>")
    if not error:
        return None
    # These describe the library's internals; all others describe the schema.
    if any(word in error for word in ("panic", "lexer", "Parser", "NoExtension")):
        return "it is too complex, or nothing satisfies it"
    return " ".join(error.split())[:MAX_ERROR_CHARS]


def main() -> None:
    """Compile the schema on standard input; write its error to standard output."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_STACK, (MAX_STACK_BYTES, MAX_STACK_BYTES))
    try:
        compile_schema(LLTokenizer("byte"), sys.stdin.read())
    except ValueError as error:
        sys.stdout.write(ascii(str(error))[1:-1])


if __name__ == "__main__":
    main()
