"""Text from file names, logs and servers, made safe to print.

A control sequence in it could move the terminal's cursor, change its title or hide text, and a
file name can have bytes that no encoding has. Both are shown as backslash escapes.

Pure.
"""

import re

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BIDI_OVERRIDES = "\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029"
_SURROGATES = "\ud800-\udfff"
_UNSAFE_IN_TEXT = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI_OVERRIDES}{_SEPARATORS}{_SURROGATES}]"
)
_UNSAFE_IN_LINE = re.compile(
    f"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\ufeff{_BIDI_OVERRIDES}{_SEPARATORS}{_SURROGATES}]"
)
_UNSAFE_IN_JSON = re.compile(
    f"[\x7f-\x9f\u061c\u200e\u200f\ufeff{_BIDI_OVERRIDES}{_SEPARATORS}{_SURROGATES}]"
)
_UNDECODED_BYTE = re.compile("[\udc80-\udcff]")
"""What `os.fsdecode` makes of a byte that is not valid in the encoding of file names."""


def escape_text(text: str) -> str:
    """Return `text` for printing; line breaks, tabs and all visible characters are kept."""
    return _UNSAFE_IN_TEXT.sub(_escape, text)


def escape_line(text: str) -> str:
    """Return `text`, for example a file name, as one printable line."""
    return _UNSAFE_IN_LINE.sub(_escape, text)


def escape_undecoded(name: str) -> str:
    r"""Return a file name with `\xe9` for each byte that is not UTF-8; all else is kept."""
    return _UNDECODED_BYTE.sub(_escape, name)


def escape_json(document: str) -> str:
    r"""Return a JSON document with `\u009b` and the like, which parses to the same values."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in _NAMED:
        return _NAMED[character]
    if _UNDECODED_BYTE.fullmatch(character):
        return f"\\x{ord(character) - 0xDC00:02x}"
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"  # noqa: PLR2004
