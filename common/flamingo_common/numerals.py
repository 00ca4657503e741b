"""Numbers and booleans that are written as text: in forms, queries, headers and flags.

There is one notation, decimal digits with an optional fraction and exponent. Python's `int` and
`float` read more than a caller can mean: `1_0`, blanks, digits of other scripts, `nan`, and `inf`.

Pure.
"""

import math
import re
from collections.abc import Mapping

MAX_CHARS = 100
"""Longer text is not a number that a caller means, and takes long to convert."""
MAX_WHOLE_DIGITS = 19
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]+")
_WHOLE = re.compile(rf"[0-9]{{1,{MAX_WHOLE_DIGITS}}}")
_BOOLEANS: Mapping[str, bool] = {"true": True, "1": True, "false": False, "0": False}


def is_number(text: str) -> bool:
    """Return whether `text` is a number, which can be too large for `number`."""
    return len(text) <= MAX_CHARS and _NUMBER.fullmatch(text) is not None


def number(text: str) -> int | float | None:
    """Return the finite number in `text`; None for other text."""
    if not is_number(text):
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else None


def whole(text: str) -> int | None:
    """Return the whole number, from 0 on, whose digits are `text`; None for other text."""
    return int(text) if _WHOLE.fullmatch(text) else None


def boolean(text: str) -> bool | None:
    """Return the boolean in `text`: true or false in any case, 1 or 0; None for other text."""
    return _BOOLEANS.get(text.lower())
