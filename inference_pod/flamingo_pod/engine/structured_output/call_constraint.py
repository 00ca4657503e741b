"""What the next token may be where the model decides whether to call functions.

As long as the output has no call it is free text, or has the format that the request sets. From the
mark of the first call on, the rest of the output is calls: each is what the grammar of one allows,
between its marks, and behind it the output ends or a further call follows.

Free text allows any token but those that complete the mark and begin the call at once, of which the
grammar would not see the beginning; few vocabularies have any. A mark inside the reasoning of a
checkpoint that thinks is text.

Nothing here is taken back: a sequence that is preempted keeps its output, and with it this state.

Pure.
"""

import math
from dataclasses import dataclass

from flamingo_pod.engine.structured_output import reasoning_scan
from flamingo_pod.engine.structured_output.call_tokens import CLOSE, FURTHER, OPEN, CallTokens
from flamingo_pod.engine.structured_output.constraint import (
    AnswerGrammar,
    Reasoning,
    ReasoningRules,
)
from flamingo_pod.engine.structured_output.reasoning_scan import Phase, ReasoningScan, common_end
from flamingo_pod.engine.structured_output.reasoning_tokens import Words, has

MAX_CALLS = 128
"""Of one answer: as many as a message of the next request can have."""


@dataclass(frozen=True, slots=True)
class CallRules:
    """The calls that the model may make."""

    tokens: CallTokens
    grammar: AnswerGrammar
    """Of what is between the marks of one call, at its start; it is forked for each."""
    is_parallel: bool = True
    """Whether an answer may have several."""


class CallSequence:
    """Calls one after the other, from behind the first opening mark to the end of the output."""

    def __init__(self, rules: CallRules) -> None:
        self._rules = rules
        self._call: AnswerGrammar | None = rules.grammar.fork()
        """None between calls, where a mark is written."""
        self._mark = CLOSE
        self._num_written = 0
        """Bytes of the mark."""
        self._num_calls = 1
        self.is_done = False

    def mask(self) -> Words:
        """Return the allowed next tokens."""
        if self._call is not None:
            return self._call.mask()
        tokens = self._rules.tokens
        if self._mark is CLOSE:
            return tokens.closing[self._num_written]
        further = tokens.further[self._num_written]
        return further if self._num_written else further | tokens.end

    def accept(self, token_id: int) -> None:
        """Advance by one token."""
        if self._call is not None:
            self._call.accept(token_id)
            if self._call.is_done:
                self._call, self._mark, self._num_written = None, CLOSE, 0
            return
        if not has(self.mask(), token_id):
            raise ValueError(f"token {token_id} is not allowed here")
        tokens = self._rules.tokens
        if not self._num_written and has(tokens.end, token_id):
            self.is_done = True
            return
        self._num_written += len(tokens.texts[token_id])
        if self._num_written == len(self._mark):
            self._end_mark()

    def fork(self) -> "CallSequence":
        """Return an independent copy."""
        copy = CallSequence(self._rules)
        copy._call = self._call and self._call.fork()
        copy._mark, copy._num_written = self._mark, self._num_written
        copy._num_calls, copy.is_done = self._num_calls, self.is_done
        return copy

    def _end_mark(self) -> None:
        self._num_written = 0
        if self._mark is FURTHER:
            self._call = self._rules.grammar.fork()
            self._num_calls += 1
        elif self._rules.is_parallel and self._num_calls < MAX_CALLS:
            self._mark = FURTHER
        else:
            self.is_done = True


class OptionalCalls:
    """The constraint of a sequence that is free text, and may end with calls."""

    def __init__(self, rules: CallRules, reasoning: ReasoningRules | None) -> None:
        self._rules = rules
        self._budget: Reasoning | None = None
        if reasoning is not None and reasoning.budget is not None:
            self._budget = Reasoning(reasoning.tokens, reasoning.budget, None)
        is_open = reasoning is not None and reasoning.tokens.is_open
        self._scan = ReasoningScan(is_open=is_open)
        self._held = b""
        """The end of the text, if the opening mark begins with it."""
        self._calls: CallSequence | None = None

    @property
    def num_free(self) -> float:
        """How many of the next tokens can be anything, unless one of them begins a call."""
        if self._calls is not None or self._allowed_in_text is not None:
            return 0
        return math.inf if self._budget is None else self._budget.num_free

    @property
    def is_done(self) -> bool:
        """Whether the output has ended behind a call."""
        return self._calls is not None and self._calls.is_done

    @property
    def _allowed_in_text(self) -> Words | None:
        return self._rules.tokens.in_text[len(self._held)]

    def mask(self) -> Words | None:
        """Return the allowed next tokens; None: all."""
        if self._calls is not None:
            return self._calls.mask()
        forced = None if self._budget is None else self._budget.mask()
        return self._allowed_in_text if forced is None else forced

    def accept(self, token_id: int) -> None:
        """Advance by one token."""
        if self._calls is not None:
            self._calls.accept(token_id)
            return
        mask = self.mask()
        if mask is not None and not has(mask, token_id):
            raise ValueError(f"token {token_id} is not allowed here")
        if self._budget is not None:
            self._budget.accept(token_id)
        self._follow(self._rules.tokens.texts[token_id])

    def _follow(self, text: bytes) -> None:
        """Follow the text, but for what is reasoned."""
        before, num_matched = self._scan.phase, self._scan.num_matched
        self._scan.push(text)
        if self._scan.phase is Phase.REASONING:
            self._held = b""
            return
        if before is Phase.REASONING:
            mark = reasoning_scan.CLOSE
            text = (mark[:num_matched] + text).partition(mark)[2]
        text = self._held + text
        if text.endswith(OPEN):
            self._calls = CallSequence(self._rules)
        self._held = common_end(text, OPEN)


class FormatOrCalls:
    """The grammar of an answer that has the format of the request, or is calls."""

    def __init__(self, rules: CallRules, format_: AnswerGrammar) -> None:
        """`format_` is the format's, at its start."""
        self._rules = rules
        self._format: AnswerGrammar | None = format_
        """None if the output cannot have the format any more."""
        self._num_written: int | None = 0
        """Bytes of the opening mark; None if the output is not a beginning of it."""
        self._calls: CallSequence | None = None

    @property
    def is_done(self) -> bool:
        """Whether the output is finished."""
        found = self._calls or self._format
        return found is not None and found.is_done

    def mask(self) -> Words:
        """Return the allowed next tokens."""
        if self._calls is not None:
            return self._calls.mask()
        opening = self._opening
        if self._format is None:
            assert opening is not None
            return opening
        allowed = self._format.mask()
        return allowed if opening is None else allowed | opening

    def accept(self, token_id: int) -> None:
        """Advance by one token."""
        if self._calls is not None:
            self._calls.accept(token_id)
            return
        is_mark = self._opening is not None and has(self._opening, token_id)
        if self._format is not None and not (is_mark and not has(self._format.mask(), token_id)):
            self._format.accept(token_id)
        else:
            self._format = None
        if self._format is None and not is_mark:
            raise ValueError(f"token {token_id} is not allowed here")
        self._advance_mark(token_id, is_mark=is_mark)

    def fork(self) -> "FormatOrCalls":
        """Return an independent copy."""
        copy = FormatOrCalls(self._rules, self._rules.grammar)
        copy._format = self._format and self._format.fork()
        copy._num_written = self._num_written
        copy._calls = self._calls and self._calls.fork()
        return copy

    @property
    def _opening(self) -> Words | None:
        if self._num_written is None:
            return None
        return self._rules.tokens.opening[self._num_written]

    def _advance_mark(self, token_id: int, *, is_mark: bool) -> None:
        if not is_mark or self._num_written is None:
            self._num_written = None
            return
        self._num_written += len(self._rules.tokens.texts[token_id])
        if self._num_written == len(OPEN):
            self._calls, self._format = CallSequence(self._rules), None
