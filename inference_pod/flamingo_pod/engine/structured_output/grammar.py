"""Structured output: which tokens may come next, so that the output is what was requested.

llguidance does the work (docs/decisions explains why). A grammar that it cannot enforce in full is
rejected, because ignoring part of it would return something other than was requested. So is a
grammar that is too large (`grammar_source`), or that exceeds the limits of a
trial compilation (`grammar_trial`).
"""

import functools
import json
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from flamingo_common.errors import Unavailable
from flamingo_pod.engine.structured_output import grammar_source, grammar_trial
from flamingo_pod.engine.structured_output.grammar_source import (
    COMPACT_OPTIONS,
    JSON_OPTIONS,
    GrammarSource,
    GrammarSpec,
)

MAX_TRIAL_S = 30
"""Wall-clock time, for a busy machine: the trial is to end by its own limit of 2 s of CPU."""
MAX_CACHED_TRIALS = 256
"""Grammars whose trial results are cached: 128 KiB each and rarely twice that, so 32 to 64 MiB."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """The result of a trial compilation."""

    error: str | None
    """Why the grammar is rejected."""
    lark: str | None
    """A grammar in GBNF's syntax, converted to Lark's."""


class Grammar:
    """The state of a grammar in one sequence. Used by one thread at a time."""

    def __init__(
        self,
        matcher: LLMatcher,
        vocabulary_size: int,
        spec: GrammarSpec,
        special: Mapping[int, str],
    ) -> None:
        self._matcher = matcher
        self._num_words = -(-vocabulary_size // 32)
        self._spec = spec
        self._special = special

    def mask(self) -> npt.NDArray[np.int32]:
        """Return the allowed next tokens as a bit mask, int32 `(ceil(vocabulary / 32),)`.

        Bit `i % 32` of word `i // 32` is token `i`. End-of-sequence is allowed when the output
        is complete, and alone when nothing else may follow.

        Raises:
            BadRequest: the grammar exceeded its limits, or allows no token.
        """
        words = np.empty(self._num_words, np.int32)
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        if self._matcher.is_error() or not words.any():
            self._reject()
        return words

    def accept(self, token_id: int) -> None:
        """Advance by one token.

        Raises:
            ValueError: the mask did not allow it; the grammar must not be used any more.
            BadRequest: the grammar exceeded its limits, or allows no token.
        """
        if self._matcher.consume_token(token_id):
            return
        # Of a text that can only be a special token, the mask allows that, although none may be.
        if token_id in self._special:
            raise self._spec.error(f"it demands the control token {self._special[token_id]!r}")
        error = self._matcher.get_error()
        if "satisfy" in error or "stopped" in error:
            raise ValueError(f"token {token_id} is not allowed here")
        self._reject()

    @property
    def is_done(self) -> bool:
        """Whether the output is finished: by end-of-sequence, or because nothing may follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def fork(self) -> "Grammar":
        """Return an independent copy, in 10 µs.

        Copies share the part of the grammar that grows, and so its limit: fork within one
        request, never for another.
        """
        return Grammar(self._matcher.deep_copy(), self._num_words * 32, self._spec, self._special)

    def _reject(self) -> NoReturn:
        reason = grammar_trial.matcher_error(self._matcher) or "it allows no next token"
        raise self._spec.error(reason)


class GrammarCompiler:
    """Compiles grammars for one tokenizer. Thread-safe; creation takes 1 s for 151,672 tokens."""

    def __init__(
        self, tokenizer: Any, vocabulary_size: int, eos_token_ids: Collection[int]
    ) -> None:
        self._vocabulary_size = vocabulary_size
        added = tokenizer.added_tokens_decoder
        self._special = {each: token.content for each, token in added.items()}
        self._tokenizer: LLTokenizer = from_tokenizer(
            tokenizer,
            n_vocab=vocabulary_size,
            eos_token=sorted(eos_token_ids),
            slices=LLTokenizer.json_slices(),
        )
        self._trial = functools.lru_cache(MAX_CACHED_TRIALS)(_trial)

    def compile(self, spec: GrammarSpec) -> Grammar:
        """Return a grammar at its start. Blocks: 0.1 s for a new grammar, 1 ms for a known one.

        It is built each time: copies of one would share its limit, and one long output would fail
        all others of the same grammar.

        Raises:
            BadRequest: the grammar is invalid, unsupported or too large; the message states which.
            Unavailable: the trial compilation timed out.
        """
        source = grammar_source.source(spec)
        trial = self._trial(source)
        if trial.error is not None:
            self._reject_part(spec)
            raise spec.error(trial.error)
        if trial.lark is not None:
            source = GrammarSource("lark", trial.lark)
        try:
            matcher = grammar_trial.compile_grammar(
                self._tokenizer, source.syntax, source.text, _options(source)
            )
        except ValueError as invalid:
            raise spec.error(str(invalid)) from None
        return Grammar(matcher, self._vocabulary_size, spec, self._special)

    def _reject_part(self, spec: GrammarSpec) -> None:
        """Raise the error of the first part that is rejected alone; not for longer than a trial."""
        until_s = time.monotonic() + MAX_TRIAL_S
        for part in spec.parts:
            if time.monotonic() > until_s:
                return
            if error := self._trial(grammar_source.source(part)).error:
                raise part.error(error)


def _options(source: GrammarSource) -> Mapping[str, Any]:
    return COMPACT_OPTIONS if source.is_compact else JSON_OPTIONS


def _trial(source: GrammarSource) -> _Trial:
    """Return the result of compiling `source` in a process of its own."""
    # -P: nothing is imported from the current folder.
    command = [sys.executable, "-P", "-m", grammar_trial.__name__]
    request = {"syntax": source.syntax, "text": source.text, "options": dict(_options(source))}
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=MAX_TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("compiling the grammar of the output timed out; retry") from None
    if done.returncode < 0:  # a signal: one of the kernel's limits, or an abort
        return _Trial("compiling it takes too much time or memory", None)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return _Trial(**json.loads(done.stdout))
