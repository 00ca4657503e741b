"""The text of a key as files, variables, flags and Secrets give it: trimmed and checked.

Editors, `echo`, `kubectl create secret --from-file` and Windows add a line break, a blank or a
byte order mark to a key. None of them can belong to it, and a header cannot carry them.

Pure.
"""

import codecs
import string

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""Byte order mark, zero-width characters: what copies from a page or an editor bring along."""
_VISIBLE = frozenset(string.ascii_letters + string.digits + string.punctuation)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""PowerShell's `>` writes UTF-16."""


class InvalidKey(ValueError):
    """The text is not a key; the message says why, without any of the key."""


def clean(text: str) -> str:
    """Return the key in `text`, without what surrounds it.

    Raises:
        InvalidKey: nothing is left, or something in it is not visible ASCII.
    """
    key = _trimmed(text)
    if not key:
        raise InvalidKey("the key is empty")
    for position, character in enumerate(key):
        if character not in _VISIBLE:
            raise InvalidKey(
                f"character {position + 1} of {len(key)} of the key is {_kind(character)};"
                " a key is visible ASCII characters without whitespace"
            )
    return key


def clean_from(source: str, text: str) -> str:
    """Return the key in `text`; an error names its `source`.

    Raises:
        InvalidKey: as `clean`.
    """
    try:
        return clean(text)
    except InvalidKey as error:
        raise InvalidKey(f"{source}: {error}") from None


def decode(data: bytes) -> str:
    """Return the key in the contents of a file.

    Raises:
        InvalidKey: as `clean`.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return clean(data.removeprefix(mark).decode(encoding, "replace"))
    return clean(data.decode("utf-8", "surrogateescape"))


def _trimmed(text: str) -> str:
    before = None
    while before != text:
        before, text = text, text.strip().strip(_INVISIBLE)
    return text


def _kind(character: str) -> str:
    if character in "\r\n":
        return "a line break"
    if character.isspace():
        return "whitespace"
    return "a control character" if character.isascii() else "not ASCII"
