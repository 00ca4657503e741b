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
MAX_ORDERS = 16
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
    """The `max_tokens` of each question, or its decisions in all orders; None without both."""

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
        orders = _number(question.get("orders"), MAX_ORDERS) or 1
        return min(len(decisions), MAX_DECISIONS) * orders  # each is a step, as a token is
    return _number(question.get("max_tokens"), MAX_TOKENS) if isinstance(question, dict) else None


def _number(value: Any, maximum: int) -> int | None:
    """Return a whole number from 1 to `maximum`; None for anything else."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value <= maximum else None
