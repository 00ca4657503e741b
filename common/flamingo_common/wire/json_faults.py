"""Says why a body is not JSON, and what is usually behind it.

A byte order mark before UTF-8 is ignored, as RFC 8259 allows.

Pure.
"""

import re

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_ENCODINGS = re.compile(
    rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]|\0\0\0[^\0]|[^\0]\0\0\0"
)
"""UTF-16 and UTF-32, with a byte order mark or without."""
MAX_LINES = 1000
"""The cause is searched only on these: to find a line, all before it are read."""
_BLANK = re.compile(rb"\s*+\Z")
_PLACE = re.compile(r"at line (\d+) column (\d+)$")
_FORM = re.compile(rb"--[^\r\n]{1,200}\r?\n[Cc]ontent-[Dd]isposition")
_PAIRS = re.compile(rb"[A-Za-z_][A-Za-z0-9_.%-]{0,63}=")
_CAUSES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"'"), "strings are in double quotes"),
    (re.compile(rb"[+-]?(?:NaN|Infinity)"), "JSON has no NaN and no Infinity"),
    (re.compile(rb"True|False|None"), "JSON writes true, false and null"),
    (re.compile(rb"//|/\*|#"), "JSON has no comments"),
    (re.compile(rb"[A-Za-z_$][\w$]*\s*:"), "names are in double quotes"),
)


def without_mark(body: bytes) -> bytes:
    """Return a body without its byte order mark."""
    return body.removeprefix(BYTE_ORDER_MARK)


def describe(body: bytes, fault: str, *, what: str) -> str:
    """Return a message for the parser's `fault`, which ends with its position.

    `what` is how the message calls the body.
    """
    if _BLANK.match(body):
        return f"{what} is empty; send a JSON object"
    if OTHER_ENCODINGS.match(body):
        return f"{what} is UTF-16 or UTF-32; JSON is sent as UTF-8"
    if _FORM.match(body):
        return (
            f"{what} is a form, and its Content-Type says JSON; let the client set the Content-Type"
            " of a form"
        )
    if _PAIRS.match(body):
        return f"{what} is not JSON but name=value; send a JSON object, or a multipart form"
    cause = _cause(body, fault)
    return f"{what} is not valid JSON: {fault}{'; ' if cause else ''}{cause}"


def _cause(body: bytes, fault: str) -> str:
    if fault.startswith("control character"):
        return r"write a line break in a string as \n"
    if fault.startswith("invalid unicode"):
        return "JSON is sent as UTF-8"
    place = _PLACE.search(fault)
    if place is None or int(place[1]) > MAX_LINES:
        return ""
    at = _line_start(body, int(place[1])) + max(0, int(place[2]) - 1)
    # The number's sign is before the place of the fault.
    start = at - 1 if body[at - 1 : at] in {b"-", b"+"} else at
    return next((text for pattern, text in _CAUSES if pattern.match(body, start)), "")


def _line_start(body: bytes, line: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = body.find(b"\n", at) + 1
    return at
