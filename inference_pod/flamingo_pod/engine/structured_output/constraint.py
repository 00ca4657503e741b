"""What the next token of a sequence may be, where its request or its reasoning limits that.

A constraint is a grammar, or the reasoning of a checkpoint that thinks with what ends it: a budget,
behind which the tokens of the closing mark are the only ones allowed, one after the other; and the
grammar of the answer, which begins behind the mark. Before the mark any token may come but those
that end the text, since a request with a grammar is about an answer; and, so that the grammar sees
all of it, those that would end the mark and begin the answer at once. One token of blanks may come
between the mark and the answer, whatever the grammar has.

A checkpoint may also answer at once. As long as its output may become the opening mark or the
answer, the grammar's tokens are allowed beside those of the mark.

Nothing here is taken back: a sequence that is preempted keeps its output, and with it this state.

Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flamingo_pod.engine.structured_output.reasoning_scan import Phase, ReasoningScan
from flamingo_pod.engine.structured_output.reasoning_tokens import ReasoningTokens, Words, has

LINE_ENDS = (b"\n", b"\r")


class Constraint(Protocol):
    """The state of one sequence. Used by one thread at a time."""

    def mask(self) -> Words | None:
        """Return the allowed next tokens as a bit mask; None: all.

        Raises:
            BadRequest: the grammar exceeded its limits, or allows no token.
        """
        ...

    def accept(self, token_id: int) -> None:
        """Advance by one token.

        Raises:
            ValueError: the mask did not allow it.
            BadRequest: the grammar exceeded its limits, or allows no token.
        """
        ...

    @property
    def is_done(self) -> bool:
        """Whether the output is finished."""
        ...


class AnswerGrammar(Protocol):
    """The part of a grammar that is used here."""

    def mask(self) -> Words:
        """Return the allowed next tokens."""
        ...

    def accept(self, token_id: int) -> None:
        """Advance by one token."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether the output is finished."""
        ...

    def fork(self) -> "AnswerGrammar":
        """Return an independent copy."""
        ...


@dataclass(frozen=True, slots=True)
class ReasoningRules:
    """How the reasoning of a sequence is found, and when it ends."""

    tokens: ReasoningTokens
    budget: int | None = None
    """The maximum of tokens behind the opening mark."""


class Reasoning:
    """The constraint of a sequence that may reason before it answers."""

    def __init__(
        self, tokens: ReasoningTokens, budget: int | None, grammar: AnswerGrammar | None
    ) -> None:
        """`budget` is the maximum of tokens behind the opening mark; None: there is none."""
        self._tokens = tokens
        self._budget = math.inf if budget is None else budget
        self._grammar = grammar
        """The answer's, at its start until that begins."""
        self._scan = ReasoningScan(is_open=tokens.is_open)
        self._at_once = None if grammar is None or tokens.is_open else grammar.fork()
        """The grammar of an answer without reasoning, while the output may be one."""
        self._forced: Sequence[int] = ()
        """The next tokens, of the closing mark."""
        self._may_be_blank = False
        self._end_if_used_up()

    @property
    def num_free(self) -> float:
        """How many of the next tokens can certainly not be forced, whatever they are."""
        match self._scan.phase:
            case _ if self._forced:
                return 0
            case Phase.START:
                return 1 + self._budget
            case Phase.REASONING:
                return self._budget - self._scan.num_tokens
            case _:
                return math.inf

    @property
    def is_done(self) -> bool:
        """Whether the grammar of the answer is complete."""
        grammar = self._at_once if self._scan.phase is Phase.START else self._grammar
        return not self._forced and grammar is not None and grammar.is_done

    def mask(self) -> Words | None:
        """Return the allowed next tokens; None: all."""
        if self._forced:
            return self._tokens.only(self._forced[0])
        if self._grammar is None:
            return None
        num_matched = self._scan.num_matched
        match self._scan.phase:
            case Phase.START:
                opening = self._tokens.opening[num_matched]
                return opening if self._at_once is None else opening | self._at_once.mask()
            case Phase.REASONING:
                return self._tokens.inside[num_matched]
            case _:
                allowed = self._grammar.mask()
                return allowed | self._tokens.blank if self._may_be_blank else allowed

    def accept(self, token_id: int) -> None:
        """Advance by one token."""
        before, text = self._scan.phase, self._tokens.texts[token_id]
        if self._forced:
            self._accept_forced(token_id)
        elif before is Phase.START:
            self._accept_at_once(token_id)
        elif before is not Phase.REASONING:
            self._accept_answer(token_id)
        self._scan.push(text)
        phase = self._scan.phase
        if before is Phase.START and phase is Phase.ANSWER:
            self._grammar = self._at_once
        elif before is Phase.REASONING and phase is Phase.BETWEEN and not self._forced:
            self._may_be_blank = not text.endswith(LINE_ENDS)  # one is enough
        self._end_if_used_up()

    def _accept_forced(self, token_id: int) -> None:
        if token_id != self._forced[0]:
            raise ValueError(f"token {token_id} is not allowed here")
        self._forced = self._forced[1:]

    def _accept_at_once(self, token_id: int) -> None:
        """Advance the grammar of an answer without reasoning, if the token can be one's."""
        if self._at_once is None:
            return
        if has(self._at_once.mask(), token_id):
            self._at_once.accept(token_id)
        else:
            self._at_once = None

    def _accept_answer(self, token_id: int) -> None:
        if self._grammar is None:
            return
        is_skipped = self._may_be_blank and not has(self._grammar.mask(), token_id)
        self._may_be_blank = False
        if not is_skipped:
            self._grammar.accept(token_id)

    def _end_if_used_up(self) -> None:
        scan = self._scan
        is_used_up = scan.phase is Phase.REASONING and scan.num_tokens >= self._budget
        if is_used_up and not self._forced:
            self._forced = self._tokens.endings[scan.num_matched]
