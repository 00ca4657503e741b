"""Kubernetes quantities, such as 40Gi, 500m and 1.90.

Pure.
"""

import re
from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

PATTERN = r"^[+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$"
"""What the API server accepts as a quantity, without negative ones: no field of ours has those."""
MAX_CHARS = 32
PERCENTAGE = "^(100|[1-9]?[0-9])%$"
MAX_PODS = 500

_SUFFIXES = {
    "n": Decimal(10) ** -9,
    "u": Decimal(10) ** -6,
    "m": Decimal(10) ** -3,
    "": Decimal(1),
    "k": Decimal(10) ** 3,
} | {
    letter + binary: Decimal(1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGTPE", start=1)
    for binary in ("i", "")
    if letter + binary != "K"
}
_DECIMAL = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_EXPONENTS = range(-9, 99, 3)
KILO, KIBI = 1000, 1024


def parse(quantity: int | str) -> Decimal:
    """Return the value of a quantity.

    Raises:
        ValueError: `quantity` is not one.
    """
    match = re.fullmatch(PATTERN, str(quantity), re.ASCII)
    if match is None:
        raise ValueError(
            f"{str(quantity)!r} is not a quantity: use a number such as 2, 500m or 40Gi"
        )
    number, suffix = Decimal(match[1]), match[3] or ""
    if suffix[:1] in {"e", "E"} and len(suffix) > 1:
        return number.scaleb(int(suffix[1:]))
    return number * _SUFFIXES[suffix]


def canonical(quantity: int | str) -> str:
    """Return a quantity as the API server stores it: 1000m as 1, and 1024Mi as 1Gi.

    It has no fraction, and the largest suffix with which it has none.
    """
    value, text = parse(quantity), str(quantity)
    if text.endswith("i") and value >= KIBI:
        return _with_suffix(value.to_integral_value(ROUND_UP), KIBI, _BINARY)
    nanos = (value / _SUFFIXES["n"]).to_integral_value(ROUND_UP)
    if re.search(r"[eE][+-]?[0-9]", text):
        return _with_suffix(nanos, KILO, [f"e{power}" if power else "" for power in _EXPONENTS])
    return _with_suffix(nanos, KILO, _DECIMAL)


def _with_suffix(value: Decimal, base: int, suffixes: Sequence[str]) -> str:
    """Return `value`, which is whole with the first suffix, with the largest possible one."""
    index = 0
    while value and index + 1 < len(suffixes) and value % base == 0:
        value, index = value / base, index + 1
    return f"{value:f}".partition(".")[0] + suffixes[index] if value else "0"


def require(quantity: Any) -> int | str:
    """Return `quantity`, unchanged.

    Raises:
        ValueError: it is not a quantity.
    """
    if isinstance(quantity, bool) or not isinstance(quantity, int | str):
        raise ValueError(  # noqa: TRY004 - what a validator raises
            "a quantity must be a whole number or a string, such as 40Gi or '1.90'"
        )
    if len(str(quantity)) > MAX_CHARS:
        raise ValueError(f"a quantity must have at most {MAX_CHARS} characters")
    parse(quantity)
    return quantity


def require_int_or_percent(value: Any) -> int | str:
    """Return `value`, unchanged.

    Raises:
        ValueError: it is neither a number of pods nor a percentage.
    """
    if isinstance(value, str) and re.fullmatch(PERCENTAGE, value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_PODS:
        return value
    raise ValueError(f"must be a whole number from 0 to {MAX_PODS}, or a percentage such as 50%")
