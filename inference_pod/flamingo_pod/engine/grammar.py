"""Which tokens may come next, so that an answer is JSON of the shape asked for.

llguidance does the work: docs/decisions says why. A schema it cannot enforce
in full is refused; one that is ignored in part would hand back something other
than what was asked for. So is one that is too large to try, and what the trial
does not survive (`flamingo_pod.engine.grammar_trial`).
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
"""Of braces and brackets; a level of an object takes two. llguidance itself ends at 128."""
MAX_TRIAL_S = 10
"""Of the clock, for a machine that is busy; the trial itself may compute for 2."""
MAX_VERDICTS = 256
"""Schemas whose trial is remembered: 64 KiB each, so 16 MiB at worst."""
ANY_OBJECT = '{"type": "object"}'


@dataclass(frozen=True, slots=True)
class GrammarSpec:
    """What was asked for: any JSON object, or JSON that a schema describes."""

    kind: Literal["json_object", "json_schema"]
    schema: str | None = None
    """JSON text; only `json_schema` has one."""


class Grammar:
    """Where one sequence stands. Used by one thread at a time."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int) -> None:
        self._matcher = matcher
        self._num_words = -(-vocabulary_size // 32)

    def mask(self) -> torch.Tensor:
        """Return the tokens that may come next, packed int32 `(ceil(vocabulary / 32),)`, on CPU.

        Bit `i % 32` of word `i // 32` is token `i`. End-of-sequence is among
        them when what was said is complete, and alone when the grammar is done.

        Raises:
            BadRequest: the grammar grew over its limits, or has no way on.
        """
        words = torch.empty(self._num_words, dtype=torch.int32)
        self._matcher.unsafe_compute_mask_ptr(words.data_ptr(), words.nbytes)
        if self._matcher.is_error() or not words.any():
            _refuse(grammar_trial.fault(self._matcher) or "it has no way on")
        return words

    def accept(self, token_id: int) -> None:
        """Take note of what was said.

        Raises:
            ValueError: the mask did not allow it; the grammar is of no more use.
            BadRequest: as for `mask`.
        """
        if self._matcher.consume_token(token_id):
            return
        error = self._matcher.get_error()
        if "satisfy" in error or "stopped" in error:
            raise ValueError(f"token {token_id} is not allowed here")
        _refuse(grammar_trial.fault(self._matcher) or "it has no way on")

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to say: end-of-sequence was said, or all else was."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def fork(self) -> "Grammar":
        """Return a copy that goes its own way, in 10 µs.

        Copies share the growing part of the grammar, and so its limit: fork
        within one request, never for another.
        """
        return Grammar(self._matcher.deep_copy(), self._num_words * 32)


class GrammarCompiler:
    """Makes grammars for one tokenizer. Thread-safe; takes 1 s for 151,672 tokens."""

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
        self._refusal = functools.lru_cache(MAX_VERDICTS)(_refusal)

    def compile(self, spec: GrammarSpec) -> Grammar:
        """Return a grammar at its start. Blocks: 0.1 s for a schema seen first, 1 ms later.

        A grammar is built anew each time: copies of one would share its limit,
        and one long answer would end all others of the same schema.

        Raises:
            BadRequest: the schema is broken, unsupported or too large; says which.
            Unavailable: the machine had no time to try the schema.
        """
        schema = ANY_OBJECT if spec.kind == "json_object" else _checked(spec.schema)
        if why := self._refusal(schema):
            _refuse(why)
        try:
            matcher = grammar_trial.compiled(self._tokenizer, schema)
        except ValueError as error:
            _refuse(str(error))
        return Grammar(matcher, self._vocabulary_size)


def _refusal(schema: str) -> str | None:
    """Return in one line why the trial refuses `schema`, or None."""
    # -P: a folder that happens to be the current one has nothing to say here.
    command = [sys.executable, "-P", "-m", grammar_trial.__name__]
    try:
        done = subprocess.run(
            command, input=schema, capture_output=True, text=True, timeout=MAX_TRIAL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("there was no time to compile the JSON schema") from None
    if done.returncode < 0:  # a signal: one of the kernel's limits, or an abort
        return "it takes too much time or memory"
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout or None


def _refuse(why: str) -> NoReturn:
    raise BadRequest(f"the JSON schema cannot be enforced: {why}", param="response_format")


def _checked(schema: str | None) -> str:
    """Return the schema in one spelling: ASCII, no duplicate keys.

    Size and depth come first, before anything walks it.
    """
    if not schema:
        _refuse("there is none")
    if len(schema.encode(errors="replace")) > MAX_SCHEMA_BYTES:
        _refuse(f"it is over {MAX_SCHEMA_BYTES} bytes")
    try:
        found = json.loads(schema, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        _refuse("it is nested too deep" if isinstance(error, RecursionError) else "it is no JSON")
    if not isinstance(found, dict):
        _refuse("it is no object")
    if _depth(found) > MAX_DEPTH:
        _refuse(f"it is nested over {MAX_DEPTH} deep")
    return json.dumps(found)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _depth(value: object) -> int:
    """Return how deep braces and brackets nest, without recursion."""
    depth, level = 0, [value]
    while level := [child for parent in level for child in _children(parent)]:
        depth += 1
    return depth


def _children(value: object) -> Collection[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
