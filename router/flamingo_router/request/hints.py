"""What a request says of itself: in its headers, and beside the audio in its first bytes.

Pure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flamingo_common.errors import BadRequest
from flamingo_common.wire import DEADLINE_HEADER
from flamingo_common.wire.deadline import deadline_s
from flamingo_common.wire.report import CLIP_HEADER
from flamingo_router.balancing.request_info import Ask, Priority

PRIORITY_HEADER = "x-flamingo-priority"
OWN_HEADERS = frozenset({PRIORITY_HEADER, CLIP_HEADER, DEADLINE_HEADER})
"""What a client says under these names goes no further as it came: the pod would believe it."""
MAX_CHOICES = 8

_JSON = {
    "max_tokens": re.compile(rb'(?<!\\)"max_(?:completion_)?tokens"\s*:\s*(\d{1,7})'),
    "n": re.compile(rb'(?<!\\)"n"\s*:\s*(\d{1,3})'),
    "stream": re.compile(rb'(?<!\\)"stream"\s*:\s*(true)'),
}
_FORM = {
    "max_tokens": re.compile(rb'name="max_(?:completion_)?tokens"[^\r\n]*\r\n\r\n(\d{1,7})'),
    "n": re.compile(rb'name="n"[^\r\n]*\r\n\r\n(\d{1,3})'),
    "stream": re.compile(rb'name="stream"[^\r\n]*\r\n\r\n(true|1)', re.IGNORECASE),
}
_FIRST = {"max_tokens": b'"max_', "n": b'"n"', "stream": b'"stream"'}
"""What must be there for the pattern to match: 20 times faster to look for."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What stands beside the audio, as far as it came before it. A wrong one costs nothing."""

    max_tokens: int | None = None
    """Of all choices together."""
    is_stream: bool = False


def ask_of(route: str, headers: Mapping[str, str], *, now_s: float) -> Ask:
    """Return what is asked, as far as the headers say.

    Raises:
        BadRequest: a header of ours is not what it should be.
    """
    priority = headers.get(PRIORITY_HEADER, "normal").strip().upper()
    if priority not in Priority.__members__:
        raise BadRequest(
            f"{PRIORITY_HEADER} is high, normal or low, not {priority.lower()[:20]!r}",
            param=PRIORITY_HEADER,
        )
    until_s = deadline_s(headers, now_s=now_s)
    return Ask(route, priority=Priority[priority], deadline_s=until_s)


def hints_of(head: bytes | bytearray) -> Hints:
    """Return what a body's first bytes say of the answer that is wanted."""
    max_tokens, num_choices = _number(head, "max_tokens"), _number(head, "n") or 1
    return Hints(
        None if max_tokens is None else max_tokens * min(num_choices, MAX_CHOICES),
        _found(head, "stream") is not None,
    )


def _number(head: bytes | bytearray, name: str) -> int | None:
    found = _found(head, name)
    return None if found is None else int(found[1])


def _found(head: bytes | bytearray, name: str) -> re.Match[bytes] | None:
    at = head.find(_FIRST[name])
    if at >= 0 and (found := _JSON[name].search(head, at)):
        return found
    at = head.find(b'name="')
    return _FORM[name].search(head, at) if at >= 0 else None
