"""The questions of an analysis in the first bytes of a body: how many, and how long their answers.

Pure.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

MAX_QUESTIONS = 32
MAX_BYTES = 65_536
"""A longer list is not read: it would take the event loop a millisecond."""
MAX_TOKENS = 32_768
MAX_DECISIONS = 400
_KEY = b"questions"
_BEGIN = re.compile(rb"""questions"(?:\s*:\s*|[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n\s*)(?=\[)""")
"""In JSON, or as a part of a form, which can have headers."""


@dataclass(frozen=True, slots=True)
class QuestionList:
    """The list of questions in a body."""

    begin: int
    """Where the list begins in the body."""
    end: int
    num_questions: int
    limits: tuple[int | None, ...]
    """The `max_tokens` of each question, or its decisions; None where it has neither."""

    def max_tokens(self, default: int | None) -> int | None:
        """Return the maximum tokens of all answers; `default` is the request's own, for each."""
        limits = [limit or default for limit in self.limits]
        return None if None in limits else sum(limit or 0 for limit in limits)


def find(head: bytes | bytearray) -> QuestionList | None:
    """Return the questions in a body's first bytes; None without a whole list of them."""
    at = head.find(_KEY)
    begin = _BEGIN.search(head, at) if at >= 0 else None
    if begin is None:
        return None
    text = bytes(head[begin.end() : begin.end() + MAX_BYTES]).decode(errors="replace")
    try:
        questions, num_chars = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if not questions:
        return None
    limits = tuple(_limit(question) for question in questions[:MAX_QUESTIONS])
    end = begin.end() + len(text[:num_chars].encode())
    return QuestionList(begin.end(), end, len(limits), limits)


def _limit(question: Any) -> int | None:
    decisions: Any = question.get("decisions") if isinstance(question, dict) else None
    if isinstance(decisions, list) and decisions:
        return min(len(decisions), MAX_DECISIONS)  # each is a step of the model, as a token is
    limit: Any = question.get("max_tokens") if isinstance(question, dict) else None
    is_number = isinstance(limit, int) and not isinstance(limit, bool)
    return limit if is_number and 0 < limit <= MAX_TOKENS else None
