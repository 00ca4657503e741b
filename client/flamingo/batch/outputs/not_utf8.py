r"""Text that is not UTF-8, for formats that take nothing else.

A file name that is not UTF-8 reaches Python with a lone surrogate for each such byte. It is written
as JSON has it, `caf\udce9.mp3`, and can be read back.

Pure.
"""

import re
from typing import Any

_SURROGATE = re.compile(r"[\ud800-\udfff]|\\(?=u(?:d[89a-f][0-9a-f]{2}|005c))")
r"""Also a backslash that would otherwise be read back as the beginning of such an escape."""
_ESCAPE = re.compile(r"\\u(d[89a-f][0-9a-f]{2}|005c)")


def escape(text: str) -> str:
    """Return `text` as UTF-8 can have it; all other text, and nearly all of it, stays the same."""
    if text.isascii() and "\\u" not in text:
        return text
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def unescape(text: str) -> str:
    """Return what was passed to `escape`."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


def escape_all(value: Any) -> Any:
    """Return a JSON value with all its texts and names escaped."""
    match value:
        case str():
            return escape(value)
        case dict():
            return {escape(name): escape_all(one) for name, one in value.items()}
        case list():
            return [escape_all(one) for one in value]
        case _:
            return value
