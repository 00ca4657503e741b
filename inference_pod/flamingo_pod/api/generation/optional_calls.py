"""Reads an answer in which the model has decided whether to call functions, as its text arrives.

The text before the first mark is the content. It is returned as it comes, except what may turn out
to be the beginning of the mark, and blanks, which do not count if the mark follows.

Pure.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from flamingo_common.wire.responses import ChatFinishReason, FinishReason
from flamingo_common.wire.tools import OptionalCall
from flamingo_pod.engine.structured_output import call_tokens
from flamingo_pod.engine.structured_output.grammar_source import (
    AFTER_ARGUMENTS,
    marked_call_text,
)
from flamingo_pod.engine.structured_output.reasoning_scan import common_end

OPEN = call_tokens.OPEN.decode()
LINE_END = AFTER_ARGUMENTS[-1]
BRACE = AFTER_ARGUMENTS[:-1]


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The next part of an answer: text, or the name or more arguments of a call."""

    text: str = ""
    call: int | None = None
    """The number of the call that the rest belongs to, from 0."""
    name: str | None = None
    """In the first part of a call."""
    arguments: str = ""


class _Place(Enum):
    TEXT = "text"
    NAME = "name"
    ARGUMENTS = "arguments"
    BEHIND = "behind"
    """Behind the arguments of a call, and before the mark of the next one."""


class AnswerReader:
    """Splits the text of one choice into its content and its calls."""

    def __init__(self, names: Sequence[str], *, has_format: bool) -> None:
        """`names` are those of the functions; an answer with a format is it, or calls alone."""
        self._names = names
        self._may_be_called = True
        """Whether the text may still become a call."""
        self._has_format = has_format
        self._place = _Place.TEXT
        self._pending = ""
        self._arguments = ""
        """Of the last call."""
        self.num_calls = 0
        """Calls whose name is complete."""

    @property
    def has_marks(self) -> bool:
        """Whether a call has begun, of which even the name may be missing."""
        return self._place is not _Place.TEXT

    def push(self, text: str) -> Iterator[AnswerPart]:
        """Yield the parts that `text` completes."""
        self._pending += text
        readers = {
            _Place.TEXT: self._read_text,
            _Place.NAME: self._read_name,
            _Place.ARGUMENTS: self._read_arguments,
            _Place.BEHIND: self._read_behind,
        }
        place = None
        while place is not self._place:
            place = self._place
            if (part := readers[place]()) is not None:
                yield part

    def finish(self, reason: FinishReason) -> Iterator[AnswerPart]:
        """Yield what was held back. Where the answer is cut, a beginning of a mark is left out."""
        held, self._pending = self._pending, ""
        if self._place is _Place.TEXT:
            if reason == "length" and not self._has_format:
                held = held[: len(held) - _num_of_mark(held)]
            if held:
                yield AnswerPart(held)
        elif self._place is _Place.ARGUMENTS and held and not _is_json(self._arguments):
            yield self._more_arguments(held)

    def finish_reason(self, call: OptionalCall, reason: FinishReason) -> ChatFinishReason:
        """Return the finish reason of the choice, which is finished."""
        if reason != "stop" or not self.num_calls or not self._is_last_complete:
            return reason
        return "function_call" if call.is_legacy else "tool_calls"

    @property
    def _is_last_complete(self) -> bool:
        if self._place is _Place.NAME:
            return False
        return self._place is _Place.BEHIND or _is_json(self._arguments)

    def _read_text(self) -> AnswerPart | None:
        text = self._pending
        if self._has_format:
            return self._read_format(text)
        before, mark, rest = text.partition(OPEN)
        if mark:
            self._place, self._pending = _Place.NAME, rest
            before = before.rstrip()
        else:
            before = text[: len(text) - _num_held(text)]
            self._pending = text[len(before) :]
        return AnswerPart(before) if before else None

    def _read_format(self, text: str) -> AnswerPart | None:
        if self._may_be_called and OPEN.startswith(text):
            return None
        if self._may_be_called and text.startswith(OPEN):
            self._place, self._pending = _Place.NAME, text.removeprefix(OPEN)
            return None
        self._may_be_called, self._pending = False, ""
        return AnswerPart(text) if text else None

    def _read_name(self) -> AnswerPart | None:
        for name in self._names:
            before = marked_call_text(name)
            if self._pending.startswith(before):
                self._pending = self._pending.removeprefix(before)
                self._place, self._arguments = _Place.ARGUMENTS, ""
                self.num_calls += 1
                return AnswerPart(call=self.num_calls - 1, name=name)
        return None

    def _read_arguments(self) -> AnswerPart | None:
        text, line_end, rest = self._pending.partition(LINE_END)
        if line_end:
            self._place, self._pending = _Place.BEHIND, rest
            text = text.removesuffix(BRACE)
        else:
            text = text.removesuffix(BRACE)
            self._pending = self._pending[len(text) :]
        return self._more_arguments(text) if text else None

    def _read_behind(self) -> AnswerPart | None:
        _, mark, rest = self._pending.partition(OPEN)
        if mark:
            self._place, self._pending = _Place.NAME, rest
        return None

    def _more_arguments(self, text: str) -> AnswerPart:
        self._arguments += text
        return AnswerPart(call=self.num_calls - 1, arguments=text)


def _num_of_mark(text: str) -> int:
    """Return how many characters at the end of `text` the opening mark begins with."""
    return len(common_end(text[-len(OPEN) :].encode(), call_tokens.OPEN))


def _num_held(text: str) -> int:
    """Return how many characters at the end may be the mark, or blanks before it."""
    num_of_mark = _num_of_mark(text)
    return len(text) - len(text[: len(text) - num_of_mark].rstrip())


def _is_json(text: str) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False
