"""Build one schema's grammar in a process that may die of it.

    python -P -m flamingo_pod.engine.grammar_trial < schema.json

llguidance bounds each step of a grammar, but not the building of it: thirty
`pattern`s under one `allOf` took six minutes and 20 GB, `multipleOf` 999983 six
seconds (llguidance 1.9.1). Neither can be interrupted, and memory that runs out
ends the process. So every new schema is built here first, under the kernel's
limits, against a vocabulary of single bytes that costs nothing to set up. The
process answers with one line: why the schema is refused, or nothing.

It imports nothing but llguidance: each import would be paid for each schema.
"""

import resource
import sys

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

MAX_CPU_S = 2
"""Including 0.05 s to start; a schema with 1,400 properties takes 0.1."""
MAX_BYTES = 2**30
MAX_STACK_BYTES = 4 * 2**20
"""Half of what a thread of the pod has: what passes here has room there."""
MAX_ERROR_CHARS = 200
OPTIONS = {
    "whitespace_flexible": True,
    # Bounded, or a model that is lost says spaces until its tokens run out.
    "whitespace_pattern": r"[ \n\r\t]{1,32}",
    "item_separator": ",",
    "key_separator": ":",
    "lenient": False,
    "coerce_one_of": False,
}
"""All are set, because a schema may bring its own under `x-guidance`."""


def compiled(tokenizer: LLTokenizer, schema: str) -> LLMatcher:
    """Return the schema's matcher, at its start.

    Raises:
        ValueError: in one short line, why the schema cannot be had.
    """
    limits = LLParserLimits(
        max_lexer_states=20_000,
        max_grammar_size=100_000,
        precompute_large_lexemes=False,  # no limit holds there
        verbose_errors=False,
    )
    grammar = LLMatcher.grammar_from_json_schema(schema, overrides=OPTIONS)  # type: ignore[arg-type]
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    if not matcher.is_error():
        matcher.compute_bitmask()  # a schema that nothing satisfies is found out here
    if why := fault(matcher):
        raise ValueError(why)
    return matcher


def fault(matcher: LLMatcher) -> str | None:
    """Return in one short line why the matcher is in error, or None."""
    error = matcher.get_error().removesuffix("<non-verbose/>")
    if not error:
        return None
    # These are told with the library's insides; all others speak of the schema.
    if any(word in error for word in ("panic", "lexer", "Parser", "NoExtension")):
        return "it is too complex, or nothing satisfies it"
    return " ".join(error.split())[:MAX_ERROR_CHARS]


def main() -> None:
    """Answer for the schema on standard input."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_STACK, (MAX_STACK_BYTES, MAX_STACK_BYTES))
    try:
        compiled(LLTokenizer("byte"), sys.stdin.read())
    except ValueError as error:
        sys.stdout.write(ascii(str(error))[1:-1])


if __name__ == "__main__":
    main()
