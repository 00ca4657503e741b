"""Structured output: which tokens may come next, so that the output is the requested JSON.

llguidance does the work (docs/decisions explains why). A schema that it cannot enforce in full is
rejected, because ignoring part of it would return something other than was requested. So is a
schema that is too large, or that exceeds the limits of a trial compilation
(`flamingo_pod.engine.grammar_trial`).
"""

import functools
import json
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from flamingo_common.errors import BadRequest, Unavailable
from flamingo_pod.engine import grammar_trial

MAX_SCHEMA_BYTES = 64 * 1024
MAX_DEPTH = 64
"""Of braces and brackets; one level of an object takes two. llguidance's own limit is 128."""
MAX_TRIAL_S = 10
"""Wall-clock time, for a busy machine; the trial itself may use 2 s of CPU."""
MAX_CACHED_TRIALS = 256
"""Schemas whose trial results are cached: 64 KiB each, so 16 MiB at most."""
ANY_OBJECT = '{"type": "object"}'


@dataclass(frozen=True, slots=True)
class GrammarSpec:
    """The requested format: any JSON object, or JSON that a schema describes."""

    kind: Literal["json_object", "json_schema"]
    schema: str | None = None
    """JSON text, for `json_schema` only."""


class Grammar:
    """The state of a grammar in one sequence. Used by one thread at a time."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int) -> None:
        self._matcher = matcher
        self._num_words = -(-vocabulary_size // 32)

    def mask(self) -> torch.Tensor:
        """Return the allowed next tokens as a bit mask, int32 `(ceil(vocabulary / 32),)` on CPU.

        Bit `i % 32` of word `i // 32` is token `i`. End-of-sequence is allowed when the output
        is complete, and alone when nothing else may follow.

        Raises:
            BadRequest: the grammar exceeded its limits, or allows no token.
        """
        words = torch.empty(self._num_words, dtype=torch.int32)
        self._matcher.unsafe_compute_mask_ptr(words.data_ptr(), words.nbytes)
        if self._matcher.is_error() or not words.any():
            _reject(grammar_trial.matcher_error(self._matcher) or "it allows no next token")
        return words

    def accept(self, token_id: int) -> None:
        """Advance by one token.

        Raises:
            ValueError: the mask did not allow it; the grammar must not be used any more.
            BadRequest: the grammar exceeded its limits, or allows no token.
        """
        if self._matcher.consume_token(token_id):
            return
        error = self._matcher.get_error()
        if "satisfy" in error or "stopped" in error:
            raise ValueError(f"token {token_id} is not allowed here")
        _reject(grammar_trial.matcher_error(self._matcher) or "it allows no next token")

    @property
    def is_done(self) -> bool:
        """Whether the output is finished: by end-of-sequence, or because nothing may follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def fork(self) -> "Grammar":
        """Return an independent copy, in 10 µs.

        Copies share the part of the grammar that grows, and so its limit: fork within one
        request, never for another.
        """
        return Grammar(self._matcher.deep_copy(), self._num_words * 32)


class GrammarCompiler:
    """Compiles grammars for one tokenizer. Thread-safe; creation takes 1 s for 151,672 tokens."""

    def __init__(
        self, tokenizer: Any, vocabulary_size: int, eos_token_ids: Collection[int]
    ) -> None:
        self._vocabulary_size = vocabulary_size
        self._tokenizer: LLTokenizer = from_tokenizer(
            tokenizer,
            n_vocab=vocabulary_size,
            eos_token=sorted(eos_token_ids),
            slices=LLTokenizer.json_slices(),
        )
        self._trial_error = functools.lru_cache(MAX_CACHED_TRIALS)(_trial_error)

    def compile(self, spec: GrammarSpec) -> Grammar:
        """Return a grammar at its start. Blocks: 0.1 s for a new schema, 1 ms for a known one.

        A grammar is built each time: copies of one would share its limit, and one long output
        would fail all others of the same schema.

        Raises:
            BadRequest: the schema is invalid, unsupported or too large; the message states which.
            Unavailable: the trial compilation timed out.
        """
        schema = ANY_OBJECT if spec.kind == "json_object" else _normalise(spec.schema)
        if error := self._trial_error(schema):
            _reject(error)
        try:
            matcher = grammar_trial.compile_schema(self._tokenizer, schema)
        except ValueError as invalid:
            _reject(str(invalid))
        return Grammar(matcher, self._vocabulary_size)


def _trial_error(schema: str) -> str | None:
    """Return why the trial rejects `schema`, in one line, or None."""
    # -P: nothing is imported from the current folder.
    command = [sys.executable, "-P", "-m", grammar_trial.__name__]
    try:
        done = subprocess.run(
            command, input=schema, capture_output=True, text=True, timeout=MAX_TRIAL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("compiling the JSON schema timed out; retry") from None
    if done.returncode < 0:  # a signal: one of the kernel's limits, or an abort
        return "compiling it takes too much time or memory"
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout or None


def _reject(reason: str) -> NoReturn:
    raise BadRequest(f"the JSON schema cannot be enforced: {reason}", param="response_format")


def _normalise(schema: str | None) -> str:
    """Return the schema normalised: ASCII, no duplicate keys.

    Size and depth are checked first, before anything walks it.
    """
    if not schema:
        _reject("it is empty")
    if len(schema.encode(errors="replace")) > MAX_SCHEMA_BYTES:
        _reject(f"it is larger than {MAX_SCHEMA_BYTES} bytes")
    try:
        parsed = json.loads(schema, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        is_deep = isinstance(error, RecursionError)
        _reject(f"it is nested deeper than {MAX_DEPTH}" if is_deep else "it is not valid JSON")
    if not isinstance(parsed, dict):
        _reject("it is not a JSON object")
    if _depth(parsed) > MAX_DEPTH:
        _reject(f"it is nested deeper than {MAX_DEPTH}")
    return json.dumps(parsed)


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
