"""A request's options that matter to the router: in its headers, and beside the audio.

Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flamingo_common.wire import DEADLINE_HEADER, PRIORITY_HEADER
from flamingo_common.wire.deadline import deadline_s
from flamingo_common.wire.priority import priority_of
from flamingo_common.wire.report import CLIP_HEADER
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.request import question_list
from flamingo_router.request.clip_part import ClipPart

OWN_HEADERS = frozenset({PRIORITY_HEADER, CLIP_HEADER, DEADLINE_HEADER})
"""Headers that are not relayed unchanged from a client, because the pod trusts them."""
MAX_CHOICES = 8
MAX_QUESTIONS, MAX_ORDERS = 400, 16

_SECONDS = rb"((?:\d{1,9}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?)"
"""As `numerals` reads them, and JSON."""
_JSON = {
    "start": re.compile(rb'(?<!\\)"start"\s*:\s*%s' % _SECONDS),
    "end": re.compile(rb'(?<!\\)"end"\s*:\s*%s' % _SECONDS),
    "max_tokens": re.compile(rb'(?<!\\)"max_(?:completion_|output_)?tokens"\s*:\s*(\d{1,7})'),
    "n": re.compile(rb'(?<!\\)"n"\s*:\s*(\d{1,3})'),
    "orders": re.compile(rb'(?<!\\)"orders"\s*:\s*(\d{1,2})'),
    "stream": re.compile(rb'(?<!\\)"stream"\s*:\s*(true)'),
}
_FORM = {
    "start": re.compile(rb'name="start"[^\r\n]*\r\n\r\n%s' % _SECONDS),
    "end": re.compile(rb'name="end"[^\r\n]*\r\n\r\n%s' % _SECONDS),
    "max_tokens": re.compile(rb'name="max_(?:completion_)?tokens"[^\r\n]*\r\n\r\n(\d{1,7})'),
    "n": re.compile(rb'name="n"[^\r\n]*\r\n\r\n(\d{1,3})'),
    "orders": re.compile(rb'name="orders"[^\r\n]*\r\n\r\n(\d{1,2})'),
    "stream": re.compile(rb'name="stream"[^\r\n]*\r\n\r\n(true|1)', re.IGNORECASE),
}
_PREFIXES = {
    "max_tokens": b'"max_',
    **{name: b'"%s"' % name.encode() for name in ("n", "orders", "stream", "start", "end")},
}
"""What must be present for the pattern to match: 20 times faster to search for."""


@dataclass(frozen=True, slots=True)
class BodyHints:
    """Options that precede the audio in the body. A wrong or missing one does no harm."""

    max_tokens: int | None = None
    """Of all choices or answers together."""
    is_stream: bool = False
    num_answers: int = 1
    """Choices, or questions of an analysis."""
    part: ClipPart | None = None
    """None: the whole clip is used."""
    num_questions: int = 0
    """Of decisions, each counted once for each order of its options."""


def parse_headers(route: str, headers: Mapping[str, str], *, now_s: float) -> RequestInfo:
    """Return a request's route, priority and deadline.

    Raises:
        BadRequest: one of the router's own headers has an invalid value.
    """
    priority, until_s = priority_of(headers), deadline_s(headers, now_s=now_s)
    return RequestInfo(route, priority=priority, deadline_s=until_s)


def parse_body(head: bytes | bytearray) -> BodyHints:
    """Return the options in a body's first bytes."""
    num_questions = _num_questions(head)
    found = question_list.find(head)
    if found is None:
        num_answers = max(1, min(_number(head, "n") or 1, MAX_CHOICES))
        limit = _number(head, "max_tokens")
        max_tokens = None if limit is None else limit * num_answers
    else:
        # The options of the questions are not those of the request, which are on either side.
        head = head[: found.begin] + head[found.end :]
        num_answers = found.num_questions
        max_tokens = found.max_tokens(_number(head, "max_tokens"))
    is_stream = _search(head, "stream") is not None
    return BodyHints(
        max_tokens,
        is_stream=is_stream,
        num_answers=num_answers,
        part=_part(head),
        num_questions=num_questions,
    )


def _part(head: bytes | bytearray) -> ClipPart | None:
    start, end = _search(head, "start"), _search(head, "end")
    if start is None and end is None:
        return None
    return ClipPart(float(start[1]) if start else 0.0, float(end[1]) if end else None)


def _num_questions(head: bytes | bytearray) -> int:
    num = min(head.count(b'"instructions"'), MAX_QUESTIONS)
    return num * min(_number(head, "orders") or 1, MAX_ORDERS) if num else 0


def _number(head: bytes | bytearray, name: str) -> int | None:
    found = _search(head, name)
    return None if found is None else int(found[1])


def _search(head: bytes | bytearray, name: str) -> re.Match[bytes] | None:
    at = head.find(_PREFIXES[name])
    if at >= 0 and (found := _JSON[name].search(head, at)):
        return found
    at = head.find(b'name="')
    return _FORM[name].search(head, at) if at >= 0 else None
